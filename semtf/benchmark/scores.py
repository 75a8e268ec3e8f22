"""The columns of a row: errors by case and zone, of level and shape, of measurements, and of σ."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.analysis.bootstrap import Groups, interval, replicates
from semtf.benchmark.estimates import Estimates
from semtf.benchmark.rows import Row
from semtf.benchmark.world import Truth
from semtf.data.sampling import spread
from semtf.estimation.calibration import covered
from semtf.estimation.intervals import NORMAL, ZONES
from semtf.evaluation.coverage import Judged
from semtf.evaluation.rmse import score
from semtf.metrology.hole import measure

MEASURED = 200
"""Images whose holes are measured, spread evenly; a hole takes milliseconds."""
MEASURES = {"cd_rows": "cd_rows_px", "cd_columns": "cd_columns_px", "depth": "depth_levels"}
Maps = npt.NDArray[np.floating]


class Scores:
    """Judges estimates of the same test images."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.depth = truth.depth.astype(np.float64)
        ones = np.ones(self.depth.shape)
        self._zones = Judged(self.depth, ones, truth.depth).zones(truth.cases)
        self._plate = np.array([self.depth[truth.cases == c].max() for c in truth.cases])
        self._chosen = spread(len(self.depth), MEASURED)
        self._measured = measure(self.depth[self._chosen])

    def __call__(self, found: Estimates, seed: int) -> Row:
        """The columns of a method that made these estimates; ``seed`` is of the bootstrap.

        ``squares`` holds the mean squared error of each image, for paired comparisons.
        """
        error = found.depth.astype(np.float64) - self.depth
        squares = np.square(error).mean(axis=(1, 2))
        errors = score(found.depth, self.truth.depth, self.truth.cases)
        low, high = bootstrap(squares, self.truth.units, seed)
        return {
            "rmse": errors.rmse,
            **{f"case_{case}": value for case, value in errors.rmse_by_case.items()},
            "images": errors.images,
            "low": low,
            "high": high,
            **self._by_zone(np.square(error)),
            **self._level_and_shape(found.depth, squares),
            "coverage": self._coverage(error, found.sigma),
            **self._measures(found.depth),
            "squares": [float(f"{square:.6g}") for square in squares],
        }

    def _by_zone(self, squares: Maps) -> Row:
        """RMSE of plate, wall and floor; the true depth says which is which."""
        return {
            zone: float(np.sqrt(squares[self._zones == i].mean())) if (self._zones == i).any()
            else float("nan")
            for i, zone in enumerate(ZONES)
            if i
        }  # fmt: skip

    def _level_and_shape(self, depth: Maps, squares: Maps) -> Row:
        """The error as that of one factor of the depth below the plate, and what it leaves.

        The factor of each image is found by least squares, so the squares of both sum to that of
        the whole error.
        """
        plate = self._plate[:, None, None]
        estimate, true = plate - depth.astype(np.float64), plate - self.depth
        norm = np.square(estimate).sum(axis=(1, 2))
        factor = (estimate * true).sum(axis=(1, 2)) / np.maximum(norm, 1e-9)
        shape = np.square(true - factor[:, None, None] * estimate).mean(axis=(1, 2))
        level = np.maximum(squares - shape, 0.0)
        return {"level": float(np.sqrt(level.mean())), "shape": float(np.sqrt(shape.mean()))}

    def _coverage(self, error: Maps, sigma: Maps | None) -> float | None:
        """Share of the pixels inside their 90 % interval."""
        if sigma is None:
            return None
        return float(covered(np.abs(error), NORMAL * sigma.astype(np.float64)).mean())

    def _measures(self, depth: Maps) -> Row:
        """Bias and 3 σ of the measurements of holes; holes that are not whole are left out."""
        difference = measure(depth[self._chosen]) - self._measured
        row: Row = {}
        for name, column in MEASURES.items():
            values = difference[column].dropna()
            row[f"{name}_bias"] = float(values.mean()) if len(values) else None
            row[f"{name}_3s"] = 3 * float(values.std()) if len(values) > 1 else None
        return row


def bootstrap(
    squares: npt.NDArray[np.float64], units: npt.NDArray[np.str_], seed: int
) -> tuple[float, float]:
    """The 95 % interval of the RMSE of images, whose sites are drawn anew.

    Args:
        squares: mean squared error of each image, ``[n]``.
        units: the site of each, ``[n]``.
        seed: of the draws.
    """
    groups, generator = Groups(units), np.random.default_rng(seed)
    drawn = replicates(lambda: float(np.sqrt(squares[groups.draw(generator)].mean())))
    low, high = interval(drawn, groups.count)
    return float(low), float(high)


def effect(
    first: Row, second: Row, units: npt.ArrayLike | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """How much smaller the RMSE of a row is than another's, as a share, with its 95 % interval.

    The images of both rows are drawn together.

    Args:
        first: the row that something is expected to have bettered.
        second: the row to compare with, of the same images.
        units: the site of each image; the images themselves where None.
        seed: of the draws.
    """
    a, b = (np.asarray(row["squares"], np.float64) for row in (first, second))
    groups = Groups(np.arange(len(a)) if units is None else units)
    generator = np.random.default_rng(seed)

    def gain(chosen: npt.NDArray[np.int64]) -> float:
        return 1.0 - float(np.sqrt(a[chosen].mean() / max(b[chosen].mean(), 1e-12)))

    low, high = interval(replicates(lambda: gain(groups.draw(generator))), groups.count)
    return gain(np.arange(len(a))), float(low), float(high)


def gaps_closed(table: pd.DataFrame) -> pd.Series:
    """How much of the gap between no adaptation and the target keys each row closes.

    The references have the row's own estimator; where they are not in the table it is NaN.
    """
    keys = ["seed", "pairs"]
    rows: list[Row] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    known = {(row["name"], *(row[k] for k in keys)): row["rmse"] for row in rows}

    def gap(row: Row) -> float:
        estimator = row["name"].partition("/")[2]
        none, target = (
            known.get((f"{kind}/{estimator}", *(row[k] for k in keys)), float("nan"))
            for kind in ("none", "target")
        )
        return float((none - row["rmse"]) / (none - target)) if none != target else float("nan")

    return pd.Series([gap(row) for row in rows], table.index, dtype=float)
