"""What a run makes of images: depth, neighbours, errors where the truth is known."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.data.dataset import Dataset
from semtf.data.png import read_png
from semtf.data.sampling import spread
from semtf.estimation.calibration import covered
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.intervals import NORMAL
from semtf.estimation.result import DepthResult
from semtf.estimation.uncertain_measurements import PREFIX, uncertainties
from semtf.evaluation.cases import CaseScore, score_cases
from semtf.evaluation.coverage import Judged, coverage_table
from semtf.evaluation.rmse import read_cases, rmse
from semtf.metrology.hole import measure
from semtf.pages.figure import PageFigure, page_figure
from semtf.pages.mosaic import mosaic
from semtf.pages.page import number
from semtf.run import Run

IMAGES, SHOWN, NAMED = 200, 12, 3
MEASURES = (
    "cd_rows_px", "cd_columns_px", "depth_levels", "area_px2", "volume_px2_levels",
    "wall_width_px", "floor_level",
)  # fmt: skip
UNCERTAIN = 32
"""Images whose measurements get an uncertainty: each takes as many draws."""
Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """Estimates of up to 200 images: test images where there are any, else the fab's.

    Attributes:
        kind: which images they are, in words.
        result: the estimates.
        images: uint8 ``[n, H, W]``.
        truth: their depth, ``[n, H, W]``; None where it is not known.
        score: of the cases, where they are known.
        keys: the key of each image's most similar pair, ``[n, H, W]``.
    """

    kind: str
    result: DepthResult
    images: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8] | None
    score: CaseScore | None
    keys: npt.NDArray[np.uint8]

    @property
    def rmse(self) -> float | None:
        """RMSE over all pixels, in grey levels; None without the truth."""
        return None if self.truth is None else rmse(self.result.depth, self.truth)

    @property
    def coverage(self) -> float | None:
        """Share of the pixels whose truth lies in the 90 % interval; None without the truth."""
        error = self.errors()
        if error is None:
            return None
        return float(covered(np.abs(error), NORMAL * self.result.sigma).mean())

    @property
    def flagged(self) -> float:
        """Share of the images that have a flag."""
        return float(np.mean([bool(flags) for flags in self.result.flags]))

    def errors(self) -> Maps | None:
        """Estimate less truth, ``[n, H, W]``."""
        return None if self.truth is None else self.result.depth - self.truth

    def shown(self) -> npt.NDArray[np.int64]:
        """A dozen images: evenly spread; with the truth the best four, middle four, worst four."""
        error = self.errors()
        if error is None or len(self.result) <= SHOWN:
            return spread(len(self.result), SHOWN)
        order = np.argsort(np.square(error).mean(axis=(1, 2)))
        middle = len(order) // 2 - 2
        return np.concatenate([order[:4], order[middle : middle + 4], order[-4:]])


def examine(run: Run, dataset: Dataset) -> Evidence:
    """Estimate images of a data set with a run."""
    estimator = load(run)
    if dataset.test_count:
        test = dataset.test()
        rows = spread(len(test), IMAGES)
        images, names, kind = test.images[rows], test.names[rows], "test images"
    else:
        fabs = [dataset.fab(case) for case in run.cases]
        stack = np.concatenate([fab.images[spread(len(fab), IMAGES // len(fabs))] for fab in fabs])
        images, kind = stack, "fab images that the classifier was trained on"
        names = np.array([f"{i:06d}.png" for i in range(len(stack))])
    result = dataclasses.replace(
        estimator.predict(np.asarray(images)), names=[str(name) for name in names]
    )
    truth = _truth(dataset, names) if dataset.test_count else None
    cases = dataset.root / "truth/cases.csv"
    score = None
    if truth is not None and cases.is_file():
        score = score_cases(result.case, read_cases(cases, names), result.depth, truth)
    return Evidence(kind, result, np.asarray(images), truth, score, _keys(estimator, result))


def _truth(dataset: Dataset, names: npt.NDArray[np.str_]) -> npt.NDArray[np.uint8] | None:
    folder = dataset.root / "truth/Depth"
    if not all((folder / name).is_file() for name in names.tolist()):
        return None
    return np.stack([read_png(folder / name, dataset.shape) for name in names.tolist()])


def _keys(estimator: Estimator, result: DepthResult) -> npt.NDArray[np.uint8]:
    keys = np.zeros(result.depth.shape, np.uint8)
    rows = {
        case: {name: row for row, name in enumerate(retriever.storage.names.tolist())}
        for case, retriever in estimator.models.retrievers.items()
    }
    for i, (case, near) in enumerate(zip(result.case.tolist(), result.neighbours, strict=True)):
        if near:
            storage = estimator.models.retrievers[case].storage
            keys[i] = storage.keys[rows[case][near[0].pair]]
    return keys


def pictures(evidence: Evidence) -> PageFigure:
    """The dozen images with all that was made of them."""
    chosen = evidence.shown()
    depth = evidence.result.depth[chosen]
    top = max(float(depth.max()), 1.0)
    rows: dict[str, npt.NDArray[Any]] = {
        "SEM": evidence.images[chosen] * (top / 255),
        "nearest key": evidence.keys[chosen] * (top / 255),
        "depth": depth,
        "σ × 8": evidence.result.sigma[chosen] * 8,
    }
    errors = evidence.errors()
    if evidence.truth is not None and errors is not None:
        rows["truth"] = evidence.truth[chosen]
        rows["|error| × 8"] = np.abs(errors[chosen]) * 8
    order = ": the best four, four of the middle, the worst four" if errors is not None else ""
    caption = f"A dozen {evidence.kind}{order}. The nearest key is shown unshifted."
    titles = [f"case {case}" for case in evidence.result.case[chosen]]
    return page_figure("evidence", caption, mosaic(rows, top, titles=titles))


def error_maps(evidence: Evidence) -> PageFigure | None:
    """Where the errors lie, over all images of each predicted case; None without the truth."""
    errors = evidence.errors()
    if errors is None:
        return None
    cases = np.unique(evidence.result.case).tolist()
    by_case = [np.sqrt(np.square(errors[evidence.result.case == k]).mean(axis=0)) for k in cases]
    top = max(float(np.max(by_case)), 1e-6)
    caption = f"Root mean square error of each pixel, by predicted case; white is {top:.1f} levels."
    titles = [f"case {case}" for case in cases]
    drawn = mosaic({"error": by_case}, top, "magma", titles)
    columns = ["case", "row", *(f"column {i}" for i in range(by_case[0].shape[1]))]
    rows = [
        [case, i, *map(float, row)]
        for case, error in zip(cases, by_case, strict=True)
        for i, row in enumerate(error)
    ]
    return page_figure("error-maps", caption, drawn, columns, rows)


def zones(evidence: Evidence) -> list[list[str]]:
    """Coverage of the 90 % intervals by zone, with its 95 % interval; empty without the truth."""
    if evidence.truth is None:
        return []
    result = evidence.result
    table = coverage_table(Judged(result.depth, result.sigma, evidence.truth))
    return [
        [
            row["zone"],
            f"{100 * row['coverage']:.1f} %",
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
            f"{row['width']:.2f}",
            f"{100 * row['pixels']:.1f} %",
        ]
        for row in table.to_dict("records")
    ]


def table(evidence: Evidence) -> list[list[str]]:
    """A row for each of the dozen: name, case, probability, similarity, σ, RMSE, flags, pairs."""
    errors = evidence.errors()
    rows = []
    for i in evidence.shown().tolist():
        one = evidence.result[i]
        near = sorted(one.neighbours[0], key=lambda n: -abs(n.weight))[:NAMED]
        pairs = ", ".join(f"{n.pair} × {n.weight:.2f}" for n in near)
        error = None if errors is None else float(np.sqrt(np.square(errors[i]).mean()))
        rows.append(
            [
                one.file_names()[0],
                str(one.case[0]),
                f"{one.case_probability[0]:.3f}",
                f"{one.similarity[0]:.4f}",
                f"{one.sigma.mean():.2f}",
                number(error),
                " ".join(one.flags[0]) or "–",
                pairs,
            ]
        )
    return rows


def measures(evidence: Evidence) -> list[list[str]]:
    """Mean and spread of the measurements, of the estimates and, where it is known, the truth.

    The second column is the expanded uncertainty (k = 2) of one hole's, in the median.
    """
    found = measure(evidence.result.depth)
    expanded = _expanded(evidence.result)
    true = None if evidence.truth is None else measure(evidence.truth)
    return [
        [
            name.replace("_", " "),
            f"{found[name].mean():.2f} ± {found[name].std():.2f}",
            number(expanded.get(name)),
            "–" if true is None else f"{true[name].mean():.2f} ± {true[name].std():.2f}",
            "–" if true is None else f"{(found[name] - true[name]).mean():+.2f}",
        ]
        for name in MEASURES
    ]


def _expanded(result: DepthResult) -> dict[str, float]:
    """By measurement, the median of twice its standard uncertainty; none where errors' patterns are
    not known."""
    chosen = result[spread(len(result), UNCERTAIN)]
    found = [
        uncertainties(depth, sigma, result.errors[int(case)])
        for depth, sigma, case in zip(chosen.depth, chosen.sigma, chosen.case, strict=True)
        if int(case) in result.errors
    ]
    medians = pd.DataFrame(found).median()
    return {
        str(name).removeprefix(PREFIX): 2 * value
        for name, value in medians.items()
        if np.isfinite(value)
    }
