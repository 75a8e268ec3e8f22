"""The figures of a run, with their numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from semtf.pages.curves import training_curves
from semtf.pages.figure import COLOURS, STYLE, PageFigure, page_figure

PERCENTILES = np.arange(0, 101, 2)
Groups = Mapping[str, npt.NDArray[np.uint8]]


def training(histories: Mapping[str, Path]) -> PageFigure:
    """The losses of each case by epoch."""
    tables = {name: pd.read_csv(path) for name, path in histories.items()}
    rows = [(name, *row) for name, table in tables.items() for row in table.itertuples(index=False)]
    columns = ["case", *next(iter(tables.values())).columns]
    caption = "Losses by epoch, a line a case."
    return page_figure("training", caption, training_curves(histories), columns, rows)


def criterion(scores: Mapping[str, tuple[Mapping[float, float], float]]) -> PageFigure:
    """The criterion by epoch, a line a case, with a ring at the epoch that was chosen.

    Args:
        scores: by name, the score of each epoch, and the chosen epoch.
    """
    rows = [
        (name, int(epoch), score, int(epoch == chosen))
        for name, (line, chosen) in scores.items()
        for epoch, score in line.items()
    ]
    caption = (
        "Criterion by epoch, a line a case: smaller is closer to the fab, 0 is without adaptation. "
        "The ring is the epoch that was chosen."
    )
    columns = ["case", "epoch", "score", "chosen"]
    return page_figure("criterion", caption, criterion_curves(scores), columns, rows)


def reliability(bins: Sequence[Mapping[str, float]]) -> PageFigure:
    """Accuracy against confidence, for a page."""
    names = ("confidence", "accuracy", "count")
    rows = [[b[name] for name in names] for b in bins]
    caption = "Accuracy of the classifier by its confidence, on images of held-out sites."
    return page_figure("reliability", caption, reliability_diagram(bins), names, rows)


def profiles(case: int, groups: Groups) -> PageFigure:
    """Percentile curves of a case before and after adaptation, for a page."""
    rows = [
        (name, int(percentile), float(level))
        for name, images in groups.items()
        for percentile, level in zip(PERCENTILES, mean_profile(images), strict=True)
    ]
    caption = f"Case {case}: mean grey level at each percentile, before and after adaptation."
    columns = ["images", "percentile", "level"]
    return page_figure(f"profiles-{case}", caption, percentile_profiles(groups), columns, rows)


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> Figure:
    """Accuracy against confidence of held-out images, and below it the images of each point."""
    confidence, accuracy, count = (
        [b[name] for b in bins] for name in ("confidence", "accuracy", "count")
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 3.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.plot([0, 1], [0, 1], color="gray", linewidth=1)
        upper.plot(confidence, accuracy, "o")
        upper.set(ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.03))
        lower.bar_label(lower.bar(confidence, count, width=0.03, log=True), fontsize="x-small")
        lower.set(xlabel="confidence", ylabel="images")
        lower.margins(y=0.4)
    return figure


def criterion_curves(scores: Mapping[str, tuple[Mapping[float, float], float]]) -> Figure:
    """Score against epoch, a line a name, with a ring at the chosen epoch of each."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained")
        axis = figure.subplots()
        for name, (line, chosen) in scores.items():
            (drawn,) = axis.plot(list(line), list(line.values()), marker=".", label=name)
            (ring,) = axis.plot([chosen], [line[chosen]], "o", color=drawn.get_color())
            ring.set(fillstyle="none", markersize=10)
        axis.set(xlabel="epoch", ylabel="criterion", yscale="log")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper")
    return figure


def percentile_profiles(groups: Groups) -> Figure:
    """Mean grey level at each percentile of an image, a line a group of images."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axis = figure.subplots()
        for name, images in groups.items():
            # The fab's curve is what the adapted one should cover: it must be seen below it.
            width, order = (4.0, 1) if name == "fab" else (1.5, 2)
            (line,) = axis.plot(PERCENTILES, mean_profile(images), label=name)
            line.set(color=COLOURS.get(name, line.get_color()), linewidth=width, zorder=order)
        axis.set(xlabel="percentile of an image", ylabel="grey level")
        axis.legend()
    return figure


def mean_profile(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The mean over images ``[n, H, W]`` of each of their percentiles."""
    levels = np.percentile(images.reshape(len(images), -1), PERCENTILES, axis=1)
    mean: npt.NDArray[np.float64] = levels.mean(axis=1)
    return mean
