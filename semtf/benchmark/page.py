"""The page of a benchmark: one figure, and the table in three parts."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semtf.outputs import check_file, replacing
from semtf.pages.figure import COLOURS, STYLE, PageFigure, page_figure
from semtf.pages.page import number, render
from semtf.version import __version__

TEMPLATE = "benchmark.html"
NAMED = 8
"""Methods of least error whose names stand in the second figure."""
CAPTION = (
    "RMSE over all pixels of the test images in grey levels, the mean over seeds, with the 95 % "
    "interval of its sites; smaller is better."
)
PARTS_CAPTION = (
    "Two parts of the same error: that of one factor of the depth below the plate (level), and "
    "what the best factor of each image leaves (shape)."
)


def check_page(out: Path, inputs: Iterable[Path | None]) -> None:
    """Raise InputError where ``out`` cannot be written, or is another file than such a page."""
    check_file(out, ".html", "<title>semtf benchmark ", inputs)


def write_page(table: pd.DataFrame, out: Path, data: Path) -> None:
    """Write a benchmark's table as one HTML page that needs no other file.

    Args:
        table: as `semtf.benchmark.benchmark.benchmark` gives it.
        out: the file.
        data: the data set, for the heading.
    """
    means = over_seeds(table)
    page = render(
        "semtf.benchmark",
        TEMPLATE,
        name=data.name,
        images=int(table["images"].max()) if len(table) else 0,
        seeds=sorted(table["seed"].unique().tolist()),
        best=_best(means),
        figures=[_errors(means), _parts(means)] if len(means) else [],
        tables=_tables(means),
        version=__version__,
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
    )
    with replacing(out) as partial:
        partial.write_text(page, encoding="utf-8")


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """A row a method: the means over its seeds, smallest RMSE first, and their ``spread``."""
    numbers = table.select_dtypes("number").columns
    grouped = table.groupby("name", sort=False)
    means = grouped[list(numbers)].mean()
    means.insert(0, "method", grouped["method"].first())
    means["spread"] = grouped["rmse"].std()
    return means.sort_values("rmse").reset_index()


def _best(means: pd.DataFrame) -> str:
    """The method of least error among those that know no truth."""
    honest = means[~means["name"].str.startswith(("target/", "nearest-true-map"))]
    return "" if honest.empty else f"{honest['method'].iloc[0]} ({honest['rmse'].iloc[0]:.2f})"


def _errors(means: pd.DataFrame) -> PageFigure:
    place = np.arange(len(means))[::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.2 * len(means)), layout="constrained")
        axis = figure.subplots()
        axis.hlines(place, means["low"], means["high"], color=COLOURS["adapted"])
        axis.plot(means["rmse"], place, "o", color=COLOURS["adapted"])
        axis.set_yticks(place, means["method"].tolist())
        axis.set(xlabel="RMSE in grey levels", xlim=(0, None))
        axis.margins(y=0.5 / max(1, len(means)))
    rows = means[["method", "rmse", "low", "high"]].to_numpy().tolist()
    return page_figure("errors", CAPTION, figure, ("method", "rmse", "low", "high"), rows)


def _parts(means: pd.DataFrame) -> PageFigure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        axis.plot(means["shape"], means["level"], "o", color=COLOURS["fab"])
        for name, shape, level in means[["name", "shape", "level"]].head(NAMED).to_numpy():
            axis.annotate(
                name, (shape, level), fontsize=7, xytext=(4, 2), textcoords="offset points"
            )
        axis.set(xlabel="error of the shape", ylabel="error of the level")
    rows = means[["method", "shape", "level"]].to_numpy().tolist()
    return page_figure("level-and-shape", PARTS_CAPTION, figure, ("method", "shape", "level"), rows)


def _tables(means: pd.DataFrame) -> list[dict[str, Any]]:
    """Heading, head and rows of each part of the table."""
    cases = [column for column in map(str, means) if column.startswith("case_")]
    parts = (
        ("Errors", {
            "RMSE": "rmse", "from": "low", "to": "high", "spread of seeds": "spread",
            **{column.replace("_", " "): column for column in cases}, "gap closed": "gap_closed",
        }),
        ("Zones, level and shape, σ", {
            "plate": "plate", "wall": "wall", "floor": "floor", "level": "level", "shape": "shape",
            "coverage": "coverage",
        }),
        ("Measurements of holes", {
            "CD rows, bias (px)": "cd_rows_bias", "3 σ": "cd_rows_3s",
            "CD columns, bias (px)": "cd_columns_bias", "3 σ ": "cd_columns_3s",
            "depth, bias (levels)": "depth_bias", "3 σ  ": "depth_3s",
        }),
        ("Cost", {
            "fit (s)": "fit_s", "an image (ms)": "image_ms", "peak memory (GiB)": "peak_gib",
        }),
    )  # fmt: skip
    return [
        {
            "heading": heading,
            "head": ["method", *columns],
            "rows": [
                [row["method"], *(number(row[column]) for column in columns.values())]
                for row in means.to_dict("records")
            ],
        }
        for heading, columns in parts
    ]
