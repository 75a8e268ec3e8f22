"""Rows of images as one picture."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from semtf.pages.figure import STYLE, ShownFigure

GAP = 4
"""Transparent pixels between images."""

Rows = Mapping[str, Sequence[npt.NDArray[np.generic]] | npt.NDArray[np.generic]]


def mosaic(
    rows: Rows, top: float, colours: str = "gray", titles: Sequence[str] = (), bottom: float = 0
) -> ShownFigure:
    """Rows of images ``[H, W]`` under one scale of ``bottom`` to ``top``.

    Args:
        rows: the images by the name of their row.
        top: the value of the last colour.
        colours: name of the colour map.
        titles: of the columns.
        bottom: the value of the first colour.
    """
    count = max(map(len, rows.values()))
    height, width = np.shape(next(iter(rows.values()))[0])
    picture = np.full((len(rows) * (height + GAP) - GAP, count * (width + GAP) - GAP), np.nan)
    for i, images in enumerate(rows.values()):
        for j, image in enumerate(images):
            down, right = i * (height + GAP), j * (width + GAP)
            picture[down : down + height, right : right + width] = image
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        scale = 0.85 / 48
        size = (picture.shape[1] * scale + 0.8, picture.shape[0] * scale + 0.3)
        figure = ShownFigure(figsize=size, layout="constrained")
        axis = figure.subplots()
        axis.imshow(picture, cmap=colours, vmin=bottom, vmax=top, interpolation="none")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labeltop=True, labelbottom=False)
        middles = [np.arange(n) * (side + GAP) + side / 2 for n, side in
                   ((len(rows), height), (len(titles), width))]  # fmt: skip
        axis.set_yticks(middles[0], list(rows))
        axis.set_xticks(middles[1], list(titles))
    return figure
