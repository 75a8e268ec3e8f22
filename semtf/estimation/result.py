"""What an estimate is, in NumPy: what the estimator and the client of a server return alike."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

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


@dataclass(frozen=True, eq=False, repr=False)
class DepthResult:
    """Estimates for ``n`` images; arrays as `semtf.estimation.graph.Estimate` has them.

    ``result[3]``, slices, masks and indices give the result of some images; results are equal where
    all their values are.

    Attributes:
        depth: float32 ``[n, H, W]``, grey levels, smaller is deeper.
        sigma: float32 ``[n, H, W]``, grey levels: half the width of the pixel's 90 % interval over
            1.645, so that ``depth ± 1.645 · sigma`` is the interval. It is calibrated on held-out
            pairs (`semtf.estimation.calibration`); nothing guarantees its coverage on fab images.
            For other neighbours or weights than were calibrated it is their bare spread.
        case: int32 ``[n]``, the number of the case.
        case_probability: float32 ``[n]``, of that case.
        similarity: float32 ``[n]``, cosine of the best neighbour.
        neighbours: for each image its neighbours, the most similar first.
        flags: for each image what is doubtful about it: ``case_in_doubt`` (the depth blends the
            two likely cases), ``case_not_trained``, ``unlike_storage``, ``unusual_scale``
            (its brightest pixel is darker or brighter than the fab's images have it).
        names: of the images, where they came from files.
    """

    depth: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    case: npt.NDArray[np.int32]
    case_probability: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]
    neighbours: Sequence[list[Neighbour]]
    flags: list[list[str]]
    names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.depth)

    def grey(self) -> npt.NDArray[np.uint8]:
        """The depth maps rounded to uint8 ``[n, H, W]``."""
        return np.clip(np.rint(self.depth), 0, 255).astype(np.uint8)

    def __getitem__(self, images: Any) -> "DepthResult":
        """The result of one image (as one of length 1), or of those that are selected."""
        if isinstance(images, (int, np.integer)):
            if not -len(self) <= images < len(self):
                raise IndexError(f"image {images} of {len(self)}")
            images = [int(images)]
        rows = np.arange(len(self))[images].tolist()
        chosen = {
            field.name: _taken(getattr(self, field.name), rows) for field in fields(DepthResult)
        }
        return DepthResult(**chosen)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DepthResult):
            return NotImplemented
        return all(
            _equal(getattr(self, field.name), getattr(other, field.name))
            for field in fields(DepthResult)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        flagged = sum(map(bool, self.flags))
        size = " x ".join(map(str, self.depth.shape[1:]))
        return f"DepthResult({len(self)} depth maps of {size}, {flagged} flagged)"

    def file_names(self) -> list[str]:
        """The names of the images; numbers where they have none, as in ``000000.png``."""
        return self.names or [f"{i:06d}.png" for i in range(len(self))]

    def save(
        self, out: Path | str, *, names: Sequence[str] | None = None, arrays: bool = False
    ) -> Path:
        """Write the depth maps as PNG, and ``predictions.csv``, as ``semtf predict`` does.

        Args:
            out: a folder of its own; or a name that ends in ``.zip``: a submission, with the table
                beside it.
            names: of the files, one an image; `file_names` where None.
            arrays: also write depth and sigma as float32 ``.npy``.

        Raises:
            InputError: two images have the same name, there are more or fewer names than images,
                or something of value would be replaced.
        """
        from semtf.estimation.destination import safe_destination
        from semtf.estimation.predictions import Predictions

        names = self.file_names() if names is None else list(names)
        if len(names) != len(self):
            raise InputError(f"names: {len(names)} for {len(self)} depth maps")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"names: {twice[0]} is given twice; give each image its own")
        out = Path(out).expanduser()
        destination = safe_destination(out, names, out, arrays=arrays)
        with Predictions(destination) as predictions:
            predictions.write(names, self)
        return out

    def to_frame(self) -> "pd.DataFrame":
        """One row an image: case, probabilities, mean depth and sigma, flags, nearest pair."""
        from semtf.estimation import result_views

        return result_views.to_frame(self)

    def plot(self, count: int = 8) -> "Figure":
        """The first depth maps and their sigma, as a matplotlib figure."""
        from semtf.estimation import result_views

        return result_views.plot(self, count)

    def _repr_html_(self) -> str:
        from semtf.estimation import result_views

        return result_views.to_html(self)


def _taken(values: Any, rows: list[int]) -> Any:
    if values is None:
        return None
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    if first is None or second is None:
        return first is second
    return list(map(str, first)) == list(map(str, second))
