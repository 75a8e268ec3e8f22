"""The losses of a training by epoch."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from semtf.pages.figure import STYLE, ShownFigure

LOSSES = ("critic", "penalty", "adversarial", "cycle", "identity", "contrast")


def training_curves(histories: Mapping[str, Path]) -> ShownFigure:
    """The losses of CycleGAN or CUT by epoch, a line a case, from Keras' CSV logs."""
    tables = {name: pd.read_csv(path) for name, path in histories.items()}
    losses = [loss for loss in LOSSES if any(loss in table for table in tables.values())]
    with mpl.rc_context(STYLE):
        figure = ShownFigure(figsize=(11, 2.4), layout="constrained")
        (axes,) = figure.subplots(1, len(losses), squeeze=False)
        for name, table in tables.items():
            for axis, loss in zip(axes, losses, strict=True):
                if loss in table:
                    axis.plot(table["epoch"] + 1, table[loss], marker=".", label=name)
        for axis, loss in zip(axes, losses, strict=True):
            axis.set(title=loss, xlabel="epoch")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
