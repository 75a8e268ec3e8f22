"""The training of a run on its page: losses, criterion, classifier, seconds."""

from typing import Any

import pandas as pd

from semtf.adapter_table import chosen_folder
from semtf.json_fields import parse_json
from semtf.pages.figure import PageFigure
from semtf.report import figures
from semtf.run import Run

SITES = 20
"""Held-out sites that the page shows at most."""
UNITS = {"cases": "adapter of case {}", "storage": "storage, index and calibration of case {}"}


def classifier_rows(classifier: dict[str, Any]) -> list[list[str]]:
    """Settings of the classifier, and what it does on held-out sites."""
    rows = [
        ["network", classifier["backbone"]],
        ["cases", ", ".join(map(str, classifier["cases"]))],
        ["temperature", f"{classifier['temperature']:.3f}"],
        ["in doubt below a probability of", f"{classifier['threshold']:.4f}"],
    ]
    for name, value in classifier["metrics"].items():
        if name not in ("reliability", "sites"):
            known = isinstance(value, (int, float))
            text = f"{value:.4g}" if known else "unknown"
            rows.append([f"held-out sites: {name.replace('_', ' ')}", text])
    return rows


def site_rows(classifier: dict[str, Any]) -> list[list[Any]]:
    """The held-out sites, the worst first."""
    sites = sorted(classifier["metrics"].get("sites", []), key=lambda site: site["right"])
    return [
        [site["site"], site["case"], site["images"], f"{site['right']:.1%}", site["vote"]]
        for site in sites[:SITES]
    ]


def classifier_settings(run: Run) -> dict[str, Any]:
    """What ``classifier.json`` says."""
    text = (run.classifier / "classifier.json").read_text(encoding="utf-8")
    settings: dict[str, Any] = parse_json(text)
    return settings


def curves(run: Run) -> PageFigure | None:
    """The losses by epoch; None where nothing was trained epoch by epoch."""
    histories = run.histories
    return figures.training(histories) if histories else None


def criterion(run: Run, case: int) -> dict[str, Any] | None:
    """The criterion of every epoch of a case, and which one was chosen; None without training."""
    folder = chosen_folder(run.adaptation(case))
    if not (folder / "choice.json").exists():
        return None
    table = pd.read_csv(folder / "criterion.csv").dropna(axis="columns", how="all")
    choice = parse_json((folder / "choice.json").read_text(encoding="utf-8"))
    return {
        "case": case,
        "epoch": choice["epoch"],
        "scores": dict(zip(table["epoch"], table["score"], strict=True)),
        "columns": list(table.columns[1:]),
        "rows": [
            {
                "name": f"epoch {epoch:.0f}" if epoch else "no adaptation",
                "cells": [_epoch(epoch, choice["epoch"]), *(f"{value:.4g}" for value in values)],
                "chosen": epoch == choice["epoch"],
            }
            for epoch, *values in table.itertuples(index=False)
        ],
        "stopped": choice["stopped"],
        "ended": choice.get("ended"),
        "warnings": choice.get("warnings", []),
    }


def _epoch(epoch: float, chosen: float) -> str:
    name = f"epoch {epoch:.0f}" if epoch else "no adaptation"
    return f"{name} (chosen)" if epoch == chosen else name


def criterion_figure(tables: list[dict[str, Any]]) -> PageFigure | None:
    """The criterion by epoch of the cases that were trained; None without any."""
    scores = {f"case {table['case']}": (table["scores"], table["epoch"]) for table in tables}
    return figures.criterion(scores) if scores else None


def seconds(run: Run) -> list[list[str]]:
    """How long each stage took, and all together; empty for runs of older versions."""
    rows = []
    for folder, taken in run.timings.items():
        name, _, case = folder.partition("/case_")
        rows.append([UNITS.get(name, name).format(case), _time(taken)])
    return [*rows, ["together", _time(sum(run.timings.values()))]] if rows else []


def _time(taken: float) -> str:
    return f"{taken:.1f} s" if taken < 120 else f"{taken / 60:.1f} min"
