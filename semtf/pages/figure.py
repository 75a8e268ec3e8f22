"""Figures of a page: SVG that takes the page's colours, with its numbers as CSV."""

import base64
import csv
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

INK = "#010203"
"""The colour of text and axes while a figure is drawn; in the page it is that of the text."""

COLOURS = {"simulator": "#1794a5", "fab": "#d97b29", "adapted": "#8b6fd6", "depth": "#4a9a5b"}
"""The colour of each domain in all figures; they can be told apart on white and on black."""

CYCLE = (*COLOURS.values(), "#c2517f", "#8a8a3a")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=CYCLE),
}


class ShownFigure(Figure):
    """A figure that a notebook shows where it is the last line of a cell, without ``pyplot``."""

    def png(self) -> bytes:
        """The figure on white, as a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100, facecolor="white", bbox_inches="tight")
        return buffer.getvalue()

    _repr_png_ = png


class PageFigure(NamedTuple):
    """A figure in a page.

    Attributes:
        name: of its files, in letters and hyphens.
        caption: what it shows, in one sentence or two.
        svg: the figure, to stand in HTML as it is.
        csv: a ``data:`` URL of its numbers; empty where it shows images only.
    """

    name: str
    caption: str
    svg: str
    csv: str


Row = Sequence[Any]


def page_figure(
    name: str, caption: str, figure: Figure, columns: Sequence[str] = (), rows: Sequence[Row] = ()
) -> PageFigure:
    """A figure that was drawn under `STYLE`, with the table of its numbers."""
    return PageFigure(name, caption, to_svg(figure, name), csv_url(columns, rows) if rows else "")


def to_svg(figure: Figure, name: str) -> str:
    """The ``<svg>`` of a figure, in the colour of the text around it.

    The identifiers inside begin with ``name``, so that figures of one page do not share them.
    """
    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(
        r'<svg (.*?)width="([\d.]+)pt" height="[\d.]+pt"',
        lambda found: f'<svg {found[1]}style="max-width: {float(found[2]) * 4 / 3:.0f}px"',
        svg,
        count=1,
        flags=re.DOTALL,
    )


def csv_url(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A table as a ``data:`` URL of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return "data:text/csv;base64," + base64.b64encode(text.getvalue().encode()).decode()


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
