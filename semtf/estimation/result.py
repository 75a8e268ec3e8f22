"""What an estimate is, in NumPy: what the estimator and the client of a server return alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FLAGS = {
    "low_confidence": "case_in_doubt",
    "untrained": "case_not_trained",
    "unlike": "unlike_storage",
}
"""By field of `semtf.estimation.graph.Estimate`, the word for it in `DepthResult.flags`."""


class Neighbour(NamedTuple):
    """One stored pair that an estimate was made from.

    Attributes:
        pair: the pair's base name.
        shift: pixels (rows, columns) it was moved by.
        weight: its part of the estimate; all sum to 1.
        similarity: cosine of its key and the image; NaN where it is not told.
    """

    pair: str
    shift: tuple[int, int]
    weight: float
    similarity: float = float("nan")


@dataclass(frozen=True)
class DepthResult:
    """Estimates for ``n`` images; arrays as `semtf.estimation.graph.Estimate` has them.

    Attributes:
        depth: float32 ``[n, H, W]``, grey levels, smaller is deeper.
        sigma: float32 ``[n, H, W]``, grey levels: half the width of the pixel's 90 % interval over
            1.645, so that ``depth ± 1.645 · sigma`` is the interval. It is calibrated on held-out
            pairs (`semtf.estimation.uncertainty`); nothing guarantees its coverage on fab images.
            For other neighbours or weights than the run's own it is their bare spread.
        case: int32 ``[n]``, 1 to 4.
        case_probability: float32 ``[n]``, of that case.
        similarity: float32 ``[n]``, cosine of the best neighbour.
        neighbours: for each image its neighbours, the most similar first.
        flags: for each image what is doubtful about it: ``case_in_doubt`` (the depth blends the
            two likely cases), ``case_not_trained``, ``unlike_storage``.
    """

    depth: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    case: npt.NDArray[np.int32]
    case_probability: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]
    neighbours: Sequence[list[Neighbour]]
    flags: list[list[str]]

    def __len__(self) -> int:
        return len(self.depth)

    def grey(self) -> npt.NDArray[np.uint8]:
        """The depth maps rounded to uint8 ``[n, H, W]``."""
        return np.clip(np.rint(self.depth), 0, 255).astype(np.uint8)
