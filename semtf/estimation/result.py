"""What an estimate is, in NumPy: what the estimator and the client of a server return alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.data.names import check_unique
from semtf.errors import InputError
from semtf.estimation.joint import ErrorPatterns

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
        names: of the images, where they came from files.
    """

    depth: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    case: npt.NDArray[np.int32]
    case_probability: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]
    neighbours: Sequence[list[Neighbour]]
    flags: list[list[str]]
    errors: Mapping[int, ErrorPatterns] = field(default_factory=dict, repr=False, compare=False)
    names: list[str] | None = None

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

    def __getitem__(self, images: Any) -> "DepthResult":
        """The result of one image (as one of length 1), or of those that are selected."""
        if isinstance(images, (int, np.integer)):
            if not -len(self) <= images < len(self):
                raise IndexError(f"image {images} of {len(self)}")
            images = [int(images)]
        rows = np.arange(len(self))[images].tolist()
        chosen = {
            part.name: _taken(getattr(self, part.name), rows)
            for part in fields(self)
            if part.compare
        }
        return DepthResult(**chosen, errors=self.errors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DepthResult):
            return NotImplemented
        return all(
            _equal(getattr(self, part.name), getattr(other, part.name))
            for part in fields(self)
            if part.compare
        )

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
        check_unique(names)
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
