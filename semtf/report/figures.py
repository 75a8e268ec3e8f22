"""Figures of a run, and their form in a page."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from semtf.data.network_scale import FULL_SCALE

mpl.use("agg")
LOSSES = ("critic", "penalty", "adversarial", "cycle", "identity", "contrast")
PERCENTILES = np.arange(0, 101, 2)


def data_url(figure: Figure) -> str:
    """A figure as PNG in a ``data:`` URL."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def training_curves(histories: Mapping[str, Path]) -> Figure:
    """The losses of CycleGAN or CUT by epoch, a line a case, from Keras' CSV logs."""
    tables = {name: pd.read_csv(path) for name, path in histories.items()}
    losses = [loss for loss in LOSSES if any(loss in table for table in tables.values())]
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    (axes,) = figure.subplots(1, len(losses), squeeze=False)
    for name, table in tables.items():
        for axis, loss in zip(axes, losses, strict=True):
            if loss in table:
                axis.plot(table["epoch"] + 1, table[loss], marker=".", label=name)
    for axis, loss in zip(axes, losses, strict=True):
        axis.set(title=loss, xlabel="epoch")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    return figure


def image_rows(rows: Mapping[str, npt.NDArray[np.uint8]], top: float = FULL_SCALE) -> Figure:
    """Rows of grey images, ``[n, H, W]`` each, under one scale of 0 to ``top``."""
    columns = min(len(images) for images in rows.values())
    figure = Figure(figsize=(1.1 * columns + 1.2, 1.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, (name, images) in zip(grid, rows.items(), strict=True):
        for axis, image in zip(axes, images, strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=top)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name)
    return figure


def reliability_diagram(bins: Sequence[Mapping[str, float]]) -> Figure:
    """Accuracy against confidence of held-out images, and below it the images of each point."""
    confidence, accuracy, count = (
        [b[name] for b in bins] for name in ("confidence", "accuracy", "count")
    )
    figure = Figure(figsize=(3.6, 3.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="gray", linewidth=1)
    upper.plot(confidence, accuracy, "o")
    upper.set(ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.03))
    lower.bar_label(lower.bar(confidence, count, width=0.03, log=True), fontsize="x-small")
    lower.set(xlabel="confidence", ylabel="images")
    lower.margins(y=0.4)
    for axis in (upper, lower):
        axis.grid(alpha=0.3)
    return figure


def percentile_profiles(groups: Mapping[str, npt.NDArray[np.uint8]]) -> Figure:
    """Mean grey level at each percentile of an image, a line a group of images."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axis = figure.subplots()
    for name, images in groups.items():
        levels = np.percentile(images.reshape(len(images), -1), PERCENTILES, axis=1)
        axis.plot(PERCENTILES, levels.mean(axis=1), label=name)
    axis.set(xlabel="percentile of an image", ylabel="grey level")
    axis.grid(alpha=0.3)
    axis.legend()
    return figure
