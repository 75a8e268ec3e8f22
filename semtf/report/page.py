"""The page of a run: its data, what its networks learned, and its errors."""

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from semtf.data.dataset import Dataset, open_dataset
from semtf.errors import InputError
from semtf.json_fields import parse_json
from semtf.lock import lock_folder
from semtf.outputs import check_file, replacing
from semtf.pages.page import render
from semtf.report import evidence, figures, summary, training
from semtf.report.cases import case_values
from semtf.report.evidence import examine
from semtf.report.records import Records
from semtf.report.scores import score_table
from semtf.run import DATA, REPORT, Run
from semtf.version import __version__

TEMPLATE = "report.html"
SCORES = ("method", "rmse", "images")
"""Columns of a benchmark's file that the page shows, beside the cases."""


def write_report(
    run: Path | str | Run,
    data: Path | str | Dataset,
    out: Path | str | None = None,
    *,
    benchmark: Path | str | None = None,
    cache: Path | str | None = None,
) -> Path:
    """Write one self-contained HTML page about a run.

    Args:
        run: a trained run, or its folder.
        data: the data it was trained on: folder, zip file or `Dataset`; bad files are left out.
        out: the file to write; ``report.html`` in the run folder where None.
        benchmark: CSV that ``semtf benchmark --out`` wrote, for the RMSE table.
        cache: where the packed images are kept.

    Returns:
        The file.

    Raises:
        InputError: there is no run or no data set, ``out`` is another file than such a page,
            another process writes to the run, or the benchmark's table cannot be read.
    """
    opened = Run.open(run)
    page = opened.path / REPORT if out is None else Path(out)
    table = None if benchmark is None else Path(benchmark)
    check_file(page, ".html", "<title>semtf run ", [table])
    if not isinstance(data, Dataset):
        size, folder = opened.config.image.shape, None if cache is None else Path(cache)
        data = open_dataset(data, cases=opened.cases, cache=folder, size=size, skip_bad=True)
    inside = page.resolve().is_relative_to(opened.path.resolve())
    lock = lock_folder(opened.path, "reported on") if inside else nullcontext()
    with lock, opened.explaining_damage():
        html = render("semtf.report", TEMPLATE, **_values(opened, data, table))
        with replacing(page) as partial:
            partial.write_text(html, encoding="utf-8")
    return page


def _values(run: Run, dataset: Dataset, benchmark: Path | None) -> dict[str, Any]:
    """What the template shows."""
    scores = _scores(benchmark)
    classifier = training.classifier_settings(run)
    bins = classifier["metrics"]["reliability"]
    cases = [case_values(run, dataset, case) for case in run.cases]
    criteria = [table for case in run.cases if (table := training.criterion(run, case))]
    found = examine(run, dataset)
    expected = [case["blending"]["chosen"]["rmse"] for case in cases if case["blending"]]
    confusion = {} if found.score is None else found.score.confusion
    return {
        "name": run.path.name,
        "preset": run.config.preset,
        "data": parse_json((run.path / DATA).read_text(encoding="utf-8")),
        "good": summary.how_good(found, expected),
        "doubts": summary.doubts(found, classifier, criteria),
        "pictures": evidence.pictures(found),
        "evidence": evidence.table(found),
        "error_maps": evidence.error_maps(found),
        "coverage": found.coverage,
        "zones": evidence.zones(found),
        "measures": evidence.measures(found),
        "scores": None if scores is None else score_table(scores, SCORES),
        "classifier_rows": training.classifier_rows(classifier),
        "classifier_sites": training.site_rows(classifier),
        "confusion": [[case, *row.values()] for case, row in confusion.items()],
        "confusion_head": [f"as {case}" for case in next(iter(confusion.values()), {})],
        "reliability": figures.reliability(bins) if bins else None,
        "curves": training.curves(run),
        "criteria": criteria,
        "criterion_figure": training.criterion_figure(criteria),
        "seconds": training.seconds(run),
        "cases": cases,
        "records": Records.of(run),
        "changed": summary.changed_settings(run),
        "versions": summary.versions(),
        "config": run.config.to_json(),
        "version": __version__,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }


def _scores(path: Path | None) -> pd.DataFrame | None:
    """The table of a benchmark; raises InputError where it cannot be read."""
    if path is None:
        return None
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
