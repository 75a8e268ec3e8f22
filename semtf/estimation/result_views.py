"""A result as a table, as pictures and in a notebook."""

import base64
from html import escape
from typing import TYPE_CHECKING

from semtf.estimation.result import DepthResult

if TYPE_CHECKING:
    import pandas as pd

    from semtf.pages.figure import ShownFigure

SHOWN = 8
MOST_SIGMA = 15.0


def to_frame(result: DepthResult) -> "pd.DataFrame":
    """What `DepthResult.to_frame` gives."""
    import pandas as pd

    return pd.DataFrame(
        {
            "case": result.case,
            "case_probability": result.case_probability,
            "similarity": result.similarity,
            "depth_mean": result.depth.mean(axis=(1, 2)),
            "sigma_mean": result.sigma.mean(axis=(1, 2)),
            "flags": [" ".join(flags) for flags in result.flags],
            "nearest": [near[0].pair if near else "" for near in result.neighbours],
        },
        index=pd.Index(result.file_names(), name="name"),
    )


def plot(result: DepthResult, count: int = SHOWN) -> "ShownFigure":
    """What `DepthResult.plot` gives."""
    from semtf.pages.mosaic import mosaic

    first = result[:count]
    sigma = first.sigma / MOST_SIGMA * max(float(first.depth.max()), 1.0)
    rows = {"depth": first.depth, f"σ (white: {MOST_SIGMA:g})": sigma}
    titles = [f"case {case}" for case in first.case]
    return mosaic(rows, float(first.depth.max()), "gray", titles)


def to_html(result: DepthResult) -> str:
    """The first depth maps and rows of the table, as HTML."""
    if not len(result):
        return "<p>No images</p>"
    picture = base64.b64encode(plot(result).png()).decode()
    table = to_frame(result[:SHOWN]).to_html(float_format="{:.3f}".format, border=0)
    flagged = sum(map(bool, result.flags))
    words = escape(f"{len(result)} depth maps, {flagged} flagged")
    return f'<p>{words}</p><img alt="depth maps" src="data:image/png;base64,{picture}">{table}'
