"""What a run was used for, kept beside it and shown in its report."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from semtf.errors import InputError
from semtf.json_fields import parse_json
from semtf.lock import lock_folder
from semtf.outputs import replacing
from semtf.pages.page import render_part
from semtf.progress import warn
from semtf.run import RECORDS, REPORT, Run

KEPT = 20
"""Records of a kind; older ones are dropped."""
TEMPLATE = "records.html"
PART = re.compile(r"(<!-- records -->\n).*?(<!-- end of records -->)", re.DOTALL)
"""The part of the page that shows the records."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Something that was done with a run.

    Attributes:
        made: when.
    """

    made: str = field(default_factory=lambda: datetime.now().strftime("%Y-%m-%d %H:%M"))


@dataclass(frozen=True, kw_only=True)
class Prediction(Record):
    """A prediction.

    Attributes:
        images: the folder or file of the images.
        count: how many there are.
        cases: by case, how many are of it.
        sigma: the mean σ, grey levels.
        flagged: how many have a flag.
        flags: by flag, how many have it.
    """

    images: str
    count: int
    cases: Mapping[Any, int]
    sigma: float
    flagged: int
    flags: Mapping[str, int]

    @property
    def cells(self) -> list[str]:
        """The row of the report."""
        cases = ", ".join(f"{count} of case {case}" for case, count in self.cases.items())
        flags = ", ".join(f"{count} {word}" for word, count in self.flags.items())
        flagged = f"{self.flagged}: {flags}" if flags else f"{self.flagged}"
        return [self.made, self.images, f"{self.count}", cases, f"{self.sigma:.2f}", flagged]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """A comparison of predictions with the truth.

    Attributes:
        predictions: the folder or file of the depth maps.
        count: how many there are.
        rmse: over all pixels, grey levels.
        rmse_by_case: the same by case, where the cases are known.
        accuracy: share of images whose case is right; None where it was not looked at.
        coverage: share of pixels in their 90 % interval; None where it was not looked at.
    """

    predictions: str
    count: int
    rmse: float
    rmse_by_case: Mapping[Any, float]
    accuracy: float | None
    coverage: float | None

    @property
    def cells(self) -> list[str]:
        """The row of the report."""
        by_case = ", ".join(f"case {case}: {rmse:.2f}" for case, rmse in self.rmse_by_case.items())
        shares = (
            "" if share is None else f"{share:.1%}" for share in (self.accuracy, self.coverage)
        )
        return [self.made, self.predictions, f"{self.count}", f"{self.rmse:.2f}", by_case, *shares]


@dataclass(frozen=True, kw_only=True)
class Benchmark(Record):
    """Methods side by side.

    Attributes:
        data: the data set.
        head: the names of the columns.
        rows: the cells, as text.
    """

    data: str
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Records:
    """The records of a run by kind, the newest first."""

    predictions: list[Prediction] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    benchmarks: list[Benchmark] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run) -> "Records":
        """Read ``records.json``; raises InputError where it cannot be read."""
        path = run.path / RECORDS
        if not path.exists():
            return cls()
        try:
            kinds = parse_json(path.read_text(encoding="utf-8"))
            return cls(
                [Prediction(**entry) for entry in kinds["predictions"]],
                [Evaluation(**entry) for entry in kinds["evaluations"]],
                [Benchmark(**entry) for entry in kinds["benchmarks"]],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); delete it") from error

    def with_newest(self, entry: Record) -> "Records":
        """These and one more; the oldest of its kind goes where there are too many."""
        kinds = {Prediction: "predictions", Evaluation: "evaluations", Benchmark: "benchmarks"}
        kind = kinds[type(entry)]
        return dataclasses.replace(self, **{kind: [entry, *getattr(self, kind)][:KEPT]})


def record(run: Path | str | Run, entry: Record) -> None:
    """Keep a record of a run and show it in its report.

    A run without a report, or in a folder that cannot be written, stays as it is. What hinders
    the record is a warning: what it is about is done.

    Args:
        run: a run, or its folder.
        entry: what was done with it.
    """
    opened = Run.open(run)
    page = opened.path / REPORT
    if not page.exists() or not os.access(opened.path, os.W_OK):
        return
    try:
        with lock_folder(opened.path, "recorded in"):
            records = Records.of(opened).with_newest(entry)
            document = json.dumps(dataclasses.asdict(records), indent=1) + "\n"
            _write(opened.path / RECORDS, document)
            part = render_part("semtf.report", TEMPLATE, records=records)
            text = page.read_text(encoding="utf-8")
            _write(page, PART.sub(lambda found: f"{found[1]}{part}{found[2]}", text, count=1))
    except (InputError, OSError) as error:
        warn(f"the report of the run is not refreshed: {error}")


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
