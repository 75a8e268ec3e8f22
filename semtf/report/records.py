"""What a run was used for, kept beside it and shown in its report."""

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from semtf.errors import InputError
from semtf.lock import lock_folder
from semtf.outputs import replacing
from semtf.pages.page import render_part
from semtf.progress import warn
from semtf.run import RECORDS, REPORT, Run

Kind = Literal["predictions", "evaluations", "benchmarks"]
Record = dict[str, Any]
KEPT = 20
"""Records of a kind; older ones are dropped."""
TEMPLATE = "records.html"
PART = re.compile(r"(<!-- records -->\n).*?(<!-- end of records -->)", re.DOTALL)
"""The part of the page that shows the records."""


FIELDS: Mapping[Kind, frozenset[str]] = {
    "predictions": frozenset({"images", "count", "cases", "sigma", "flagged", "flags"}),
    "evaluations": frozenset(
        {"predictions", "count", "rmse", "rmse_by_case", "accuracy", "coverage"}
    ),
    "benchmarks": frozenset({"data", "head", "rows"}),
}
"""What a record has beside the time."""


def read_records(run: Run) -> dict[Kind, list[Record]]:
    """The records of a run by kind, the newest first.

    Raises:
        InputError: ``records.json`` cannot be read.
    """
    path = run.path / RECORDS
    if not path.exists():
        return {kind: [] for kind in FIELDS}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        records = {kind: list(document[kind]) for kind in FIELDS}
        for kind, fields in FIELDS.items():
            if any(set(entry) != fields | {"made"} for entry in records[kind]):
                raise ValueError(f"{kind} lack fields")
        return records
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it") from error


def record(run: Path | str | Run, kind: Kind, entry: Mapping[str, Any]) -> None:
    """Keep a record of a run and show it in its report.

    A run without a report, or in a folder that cannot be written, stays as it is. What hinders
    the record is a warning: the prediction or evaluation that it is about is done.

    Args:
        run: a run, or its folder.
        kind: what was done with the run.
        entry: what the template shows of it, without the time.
    """
    opened = Run.open(run)
    page = opened.path / REPORT
    if not page.exists() or not os.access(opened.path, os.W_OK):
        return
    try:
        with lock_folder(opened.path, "recorded in"):
            records = read_records(opened)
            made = datetime.now().strftime("%Y-%m-%d %H:%M")
            records[kind] = [{"made": made, **entry}, *records[kind]][:KEPT]
            _write(opened.path / RECORDS, json.dumps(records, indent=1) + "\n")
            _refresh(page, records)
    except (InputError, OSError) as error:
        warn(f"the report of the run is not refreshed: {error}")


def _refresh(page: Path, records: Mapping[Kind, list[Record]]) -> None:
    """Put the records into a page that was written before."""
    part = render_part("semtf.report", TEMPLATE, **values(records))
    text = page.read_text(encoding="utf-8")
    _write(page, PART.sub(lambda found: f"{found[1]}{part}{found[2]}", text, count=1))


def values(records: Mapping[Kind, list[Record]]) -> dict[str, Any]:
    """What the template shows."""
    return {
        "predictions": [_prediction(entry) for entry in records["predictions"]],
        "evaluations": [_evaluation(entry) for entry in records["evaluations"]],
        "benchmark": next(iter(records["benchmarks"]), None),
    }


def _prediction(entry: Record) -> list[str]:
    cases = ", ".join(f"{count} of case {case}" for case, count in entry["cases"].items())
    flags = ", ".join(f"{count} {word}" for word, count in entry["flags"].items())
    flagged = f"{entry['flagged']}" + (f": {flags}" if flags else "")
    return [
        entry["made"],
        entry["images"],
        str(entry["count"]),
        cases,
        f"{entry['sigma']:.2f}",
        flagged,
    ]


def _evaluation(entry: Record) -> list[str]:
    by_case = ", ".join(f"case {case}: {rmse:.2f}" for case, rmse in entry["rmse_by_case"].items())
    return [
        entry["made"],
        entry["predictions"],
        str(entry["count"]),
        f"{entry['rmse']:.2f}",
        by_case,
        _percent(entry["accuracy"]),
        _percent(entry["coverage"]),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
