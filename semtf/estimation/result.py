"""What an estimate is, in NumPy: what the estimator and the client of a server return alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError
from semtf.estimation.joint import ErrorPatterns

FLAGS = {
    "low_confidence": "case_in_doubt",
    "untrained": "case_not_trained",
    "unlike": "unlike_storage",
    "off_scale": "unusual_scale",
}
"""By field of `semtf.estimation.graph.Estimate`, the word for it in `DepthResult.flags`."""


class Neighbour(NamedTuple):
    """One stored pair that an estimate was made from.

    Attributes:
        pair: the pair's base name.
        shift: pixels (rows, columns) it was moved by.
        weight: its part of the estimate; all sum to 1.
        similarity: cosine of its key and the image; NaN where the server does not send it.
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
            pairs with the fab's noise (`semtf.estimation.calibration`).
            For other neighbours or weights than were calibrated it is their bare spread.
        case: int32 ``[n]``, the number of the case.
        case_probability: float32 ``[n]``, of that case.
        similarity: float32 ``[n]``, cosine of the best neighbour.
        neighbours: for each image its neighbours, the most similar first.
        flags: for each image what is doubtful about it: ``case_in_doubt`` (the depth blends the
            two likely cases), ``case_not_trained``, ``unlike_storage``, ``unusual_scale``
            (its brightest pixel is darker or brighter than the fab's images have it).
        errors: by case, how the errors of pixels go together; empty where that is not known, as of
            a server's results.
    """

    depth: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    case: npt.NDArray[np.int32]
    case_probability: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]
    neighbours: Sequence[list[Neighbour]]
    flags: list[list[str]]
    errors: Mapping[int, ErrorPatterns] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.depth)

    def draws(self, count: int, seed: int = 0) -> npt.NDArray[np.float32]:
        """Depth maps that may be the true ones, float32 ``[count, n, H, W]``.

        Their mean is the depth and their standard deviation about sigma; pixels err together as
        those of held-out queries did. What is measured of them is spread as it is uncertain.

        Args:
            count: how many of each image.
            seed: of the random numbers.

        Raises:
            InputError: it is not known how the errors of a case go together: the run is of an
                older version, the weights are not its own, or the result came from a server.
        """
        missing = sorted({int(case) for case in self.case} - set(self.errors))
        if missing:
            raise InputError(
                f"draws: how errors of case {missing[0]} go together is not known; predict with "
                "semtf.load(run) and the run's own weights, of a run that this version trained"
            )
        generator = np.random.default_rng(seed)
        drawn = [
            self.errors[int(case)].draws(depth, sigma, count, generator)
            for case, depth, sigma in zip(self.case, self.depth, self.sigma, strict=True)
        ]
        no_images = np.zeros((count, 0, *self.depth.shape[1:]), np.float32)
        return np.stack(drawn, axis=1) if drawn else no_images

    def grey(self) -> npt.NDArray[np.uint8]:
        """The depth maps rounded to uint8 ``[n, H, W]``."""
        return np.clip(np.rint(self.depth), 0, 255).astype(np.uint8)
