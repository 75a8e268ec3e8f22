"""The rows of `scripts/bench zoo` as Markdown: each row, median and worst, and failures."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from bench_adaptation import Row

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


class Measure(NamedTuple):
    """A column of the summary: how it is made of a row, its format, and which end is worst."""

    title: str
    column: str
    form: str
    worst: str


MEASURES = (
    Measure("gap closed, K = 1", "gap_closed", "{:.1%}", "min"),
    Measure("default estimate", "default", "{:.3f}", "max"),
    Measure("default over true keys' softmax of 8", "over_softmax", "{:+.1%}", "max"),
    Measure("default over best cheap adapter's", "over_cheap", "{:+.1%}", "max"),
    Measure("chosen epoch over best", "over_best", "{:+.1%}", "max"),
    Measure("case accuracy", "accuracy", "{:.1%}", "min"),
    Measure("seconds", "seconds", "{:.0f}", "max"),
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
    return "\n".join([*lines, "", *summary(pd.DataFrame(rows))])


def summary(table: pd.DataFrame) -> list[str]:
    """Median and worst of each measure, and the fabs of the worst in words."""
    table["over_softmax"] = table.default / table.true_softmax - 1
    table["over_cheap"] = table.default / table.best_cheap_default - 1
    lines = ["| | median | worst | seed, case |", "|---|---|---|---|"]
    worst = {}
    for title, column, form, end in MEASURES:
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
