"""A benchmark's table as pages show it."""

from collections.abc import Collection
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import pandas as pd


class ScoreTable(TypedDict):
    """The names of the columns, and the cells as text."""

    head: list[str]
    rows: list[list[str]]


def score_table(table: "pd.DataFrame", columns: Collection[str]) -> ScoreTable:
    """Some columns of a benchmark's table, and those of the cases, in its order."""
    shown = [str(c) for c in table if c in columns or str(c).startswith("case_")]
    return {
        "head": [column.replace("_", " ") for column in shown],
        "rows": [[_text(cell) for cell in row] for row in table[shown].itertuples(index=False)],
    }


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return "–" if cell != cell else f"{cell:.2f}"
    return str(cell)
