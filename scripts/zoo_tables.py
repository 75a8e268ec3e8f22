"""The rows of `scripts/bench zoo` as Markdown: each row, median and worst, and failures."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from trust_rows import MEASURES, SHOWN, Row

CHEAP = ("none", "percentile", "moment")
SOLVED, FAILED = 0.9, 0.75
"""An adapter that closes this share of the gap does well, one below the other fails."""


def gap_closed(row: Row, error: float) -> float:
    """The share of a row's gap that keys of this error close."""
    return (row["none"] - error) / (row["none"] - row["true"])


def cheap_table(rows: list[Row]) -> str:
    """The gaps and what the cheap adapters close of them, and which of them fail where."""
    lines = [
        "| seed | case | none | true | true, softmax of 8 | percentile | moment "
        "| percentile closes | moment closes | structures |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        shares = [f"{gap_closed(row, row[name]):.0%}" for name in CHEAP[1:]]
        lines.append(
            f"| {row['seed']} | {row['case']} | {row['none']:.2f} | {row['true']:.2f} "
            f"| {row['true_softmax']:.2f} | {row['percentile']:.2f} | {row['moment']:.2f} "
            f"| {' | '.join(shares)} | {row['words']['structures'].split(';')[0]} |"
        )
    for name in CHEAP:
        closed = np.array([gap_closed(row, row[name]) for row in rows])
        lines.append(
            f"\n`{name}` closes {np.median(closed):.0%} in the median and {closed.min():.0%} at "
            f"worst; it does well (over {SOLVED:.0%}) in {(closed > SOLVED).sum()} of {len(rows)} "
            f"and fails (below {FAILED:.0%}) in {(closed < FAILED).sum()}."
        )
    return "\n".join(lines)


Floats = npt.NDArray[np.float64]


class Column(NamedTuple):
    """A column of the summary: how it is made of a row, its format, and which end is worst."""

    title: str
    column: str
    form: str
    worst: str


COLUMNS = (
    Column("gap closed, K = 1", "gap_closed", "{:.1%}", "min"),
    Column("RMSE over true keys', K = 1", "over_true", "{:+.1%}", "max"),
    Column("default estimate", "default", "{:.3f}", "max"),
    Column("default over true keys' softmax of 8", "over_softmax", "{:+.1%}", "max"),
    Column("default over best cheap adapter's", "over_cheap", "{:+.1%}", "max"),
    Column("chosen epoch over best", "over_best", "{:+.1%}", "max"),
    Column("case accuracy", "accuracy", "{:.1%}", "min"),
    Column("seconds", "seconds", "{:.0f}", "max"),
)


def full_table(rows: list[Row]) -> str:
    """Every row, median and worst of what matters, and the worst fabs in words."""
    lines = [
        "| seed | case | none | true | adapted | gap closed | true, softmax of 8 | default "
        "| decided | best cheap | its K = 1 | its default | epoch | over best | accuracy | s |",
        "|" + "---|" * 16,
    ]
    for row in rows:
        over = "" if row["over_best"] is None else f"{row['over_best']:+.1%}"
        lines.append(
            f"| {row['seed']} | {row['case']} | {row['none']:.2f} | {row['true']:.2f} "
            f"| {row['adapted']:.2f} | {row['gap_closed']:.1%} | {row['true_softmax']:.2f} "
            f"| {row['default']:.2f} | {row['decided']:.2f} | {row['best_cheap']} "
            f"| {row['best_cheap_one']:.2f} | {row['best_cheap_default']:.2f} | {row['epoch']} "
            f"| {over} | {row['accuracy']:.1%} | {row['seconds']:.0f} |"
        )
    return "\n".join([*lines, "", *trust_table(rows), "", *summary(pd.DataFrame(rows))])


def trust_table(rows: list[Row]) -> list[str]:
    """How far σ and the uncertainty of what is measured hold on the test images."""
    lines = [
        "| seed | case | plate | wall | floor | width over the oracle's | certain, right "
        "| in doubt, covered | " + " | ".join(MEASURES) + " |",
        "|" + "---|" * (8 + len(MEASURES)),
    ]
    for row in rows:
        trust, doubt, measures = row["trust"], row["doubtful"], row["measures"]
        zones = " | ".join(f"{trust['coverage'].get(zone, np.nan):.1%}" for zone in SHOWN)
        widths = ", ".join(f"{trust['over_oracle'].get(zone, np.nan):.2f}" for zone in SHOWN)
        covered = "" if doubt["covered"] is None else f", {doubt['covered']:.0%}"
        shares = " | ".join(f"{measures.get(name, np.nan):.0%}" for name in MEASURES)
        lines.append(
            f"| {row['seed']} | {row['case']} | {zones} | {widths} | {trust['certain_right']:.1%} "
            f"| {doubt['images']}{covered} | {shares} |"
        )
    return [*lines, "", *trust_summary(rows)]


def trust_summary(rows: list[Row]) -> list[str]:
    """Coverage by zone over all rows, and that of each measurement."""
    found = []
    for zone in SHOWN:
        values = np.array([row["trust"]["coverage"].get(zone, np.nan) for row in rows])
        found.append(f"{zone} {_range(values)}")
    for name in MEASURES:
        values = np.array([row["measures"].get(name, np.nan) for row in rows])
        found.append(f"`{name}` {_range(values)}")
    return ["Covered, in the median (least to most): " + "; ".join(found) + "."]


def _range(values: Floats) -> str:
    least, median, most = np.nanquantile(values, (0, 0.5, 1))
    return f"{median:.1%} ({least:.1%} to {most:.1%})"


def summary(table: pd.DataFrame) -> list[str]:
    """Median and worst of each measure, and the fabs of the worst in words."""
    table["over_true"] = table.adapted / table.true - 1
    table["over_softmax"] = table.default / table.true_softmax - 1
    table["over_cheap"] = table.default / table.best_cheap_default - 1
    lines = ["| | median | worst | seed, case |", "|---|---|---|---|"]
    worst = {}
    for title, column, form, end in COLUMNS:
        values = table[column].dropna().astype(float)
        if values.empty:
            continue
        row = table.loc[[values.idxmin() if end == "min" else values.idxmax()]].iloc[0]
        seed, case = row.seed, row.case
        if column != "seconds":
            worst[seed] = row.words
        median, value = form.format(values.median()), form.format(float(row[column]))
        lines.append(f"| {title} | {median} | {value} | {seed}, {case} |")
    for seed, words in worst.items():
        lines += ["", f"Fab {seed}:", *(f"- {name}: {text}" for name, text in words.items())]
    return lines
