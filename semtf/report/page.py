"""The page of a run: its data, what its networks learned, and its errors."""

import json
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.adaptation.adapter_selection import TABLE as SELECTION_TABLE
from semtf.adapter_table import SELECTION, chosen_folder
from semtf.data.dataset import Dataset, open_dataset
from semtf.data.network_scale import FULL_SCALE
from semtf.errors import InputError
from semtf.estimation.averaging import Average
from semtf.estimation.intervals import Intervals
from semtf.estimation.preparation import TRIALS
from semtf.lock import lock_folder
from semtf.noise.model import NoiseModel
from semtf.outputs import check_file, replacing
from semtf.pages.figure import PageFigure, page_figure
from semtf.pages.mosaic import mosaic
from semtf.pages.page import render
from semtf.report import evidence, figures, summary
from semtf.report.evidence import examine
from semtf.retrieval.storage import Storage
from semtf.run import DATA, REPORT, Run
from semtf.version import __version__

TEMPLATE = "report.html"
SAMPLES = 6
IMAGES_CAPTION = "Simulator, adapted and depth show the same structures; the fab row shows others."
NOISE_CAPTION = "Images of the fab, made ones, and the adapted ones that they are made of."
PROFILE_IMAGES = 200


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
    with lock_folder(opened.path, "reported on") if inside else nullcontext():
        html = render("semtf.report", TEMPLATE, **_values(opened, data, table))
        with replacing(page) as partial:
            partial.write_text(html, encoding="utf-8")
    return page


def _values(run: Run, dataset: Dataset, benchmark: Path | None) -> dict[str, Any]:
    """What the template shows."""
    scores = _scores(benchmark)
    classifier = _classifier(run)
    bins = classifier["metrics"]["reliability"]
    cases = [_case(run, dataset, case) for case in run.cases]
    criteria = [table for case in run.cases if (table := _criterion(run, case))]
    found = examine(run, dataset)
    expected = [case["blending"]["chosen"]["rmse"] for case in cases if case["blending"]]
    confusion = {} if found.score is None else found.score.confusion
    return {
        "name": run.path.name,
        "preset": run.config.preset,
        "data": json.loads((run.path / DATA).read_text(encoding="utf-8")),
        "good": summary.how_good(found, expected),
        "doubts": summary.doubts(found, classifier, criteria),
        "pictures": evidence.pictures(found),
        "evidence": evidence.table(found),
        "error_maps": evidence.error_maps(found),
        "coverage": found.coverage,
        "measures": evidence.measures(found),
        "scores": scores,
        "score_rows": [list(row.values()) for row in scores],
        "classifier_rows": _classifier_rows(classifier),
        "confusion": [[case, *row.values()] for case, row in confusion.items()],
        "confusion_head": [f"as {case}" for case in next(iter(confusion.values()), {})],
        "reliability": figures.reliability(bins) if bins else None,
        "curves": _curves(run),
        "criteria": criteria,
        "cases": cases,
        "changed": summary.changed_settings(run),
        "versions": summary.versions(),
        "config": run.config.to_json(),
        "version": __version__,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }


def _classifier_rows(classifier: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["network", classifier["backbone"]],
        ["cases", ", ".join(map(str, classifier["cases"]))],
        ["temperature", f"{classifier['temperature']:.3f}"],
        ["in doubt below a probability of", f"{classifier['threshold']:.4f}"],
    ]
    for name, value in classifier["metrics"].items():
        if name != "reliability":
            known = isinstance(value, (int, float))
            text = f"{value:.4g}" if known else "unknown"
            rows.append([f"held-out sites: {name.replace('_', ' ')}", text])
    return rows


def _scores(path: Path | None) -> list[dict[str, Any]]:
    """Rows of the RMSE table, numbers as text."""
    if path is None:
        return []
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    table = table.map(lambda value: f"{value:.2f}" if isinstance(value, float) else str(value))
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _classifier(run: Run) -> dict[str, Any]:
    text = (run.classifier / "classifier.json").read_text(encoding="utf-8")
    settings: dict[str, Any] = json.loads(text)
    return settings


def _curves(run: Run) -> PageFigure | None:
    return figures.training(run.histories) if run.histories else None


def _criterion(run: Run, case: int) -> dict[str, Any] | None:
    """The criterion of every epoch of a case, and which one was chosen; None without training."""
    folder = chosen_folder(run.adaptation(case))
    if not (folder / "choice.json").exists():
        return None
    table = pd.read_csv(folder / "criterion.csv").dropna(axis="columns", how="all")
    choice = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
    return {
        "case": case,
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


def _selection(folder: Path) -> dict[str, Any] | None:
    """The adapter that `auto` chose, and the criterion of each; None where it did not choose."""
    if not (folder / SELECTION).exists():
        return None
    selection: dict[str, Any] = json.loads((folder / SELECTION).read_text(encoding="utf-8"))
    table = pd.read_csv(folder / SELECTION_TABLE).map(
        lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)
    )
    return {**selection, "columns": list(table.columns), "rows": table.to_numpy().tolist()}


def _case(run: Run, dataset: Dataset, case: int) -> dict[str, Any]:
    storage = Storage.open(run.storage(case))
    simulator, fab = dataset.simulator(case), dataset.fab(case)
    originals = np.rint(simulator.mean_sem(slice(PROFILE_IMAGES))).astype(np.uint8)
    rows = {
        "simulator": originals[:SAMPLES],
        "adapted": _first(storage.keys, SAMPLES),
        "depth": _first(storage.values, SAMPLES),
        "fab": _first(fab.images, SAMPLES),
    }
    profiles = {
        "simulator": originals,
        "adapted": _first(storage.keys, PROFILE_IMAGES),
        "fab": _first(fab.images, PROFILE_IMAGES),
    }
    intervals = Intervals.load(run.storage(case))
    return {
        "case": case,
        "selection": _selection(run.adaptation(case)),
        "blending": _blending(run.storage(case)),
        "intervals": intervals,
        "zones": [] if intervals is None else _zones(intervals),
        "average": Average.load(run.storage(case), int(storage.values.max())),
        "noise": _noise(run, storage, fab.images),
        "pairs": len(storage),
        "fab": len(fab),
        "images": page_figure(f"images-{case}", IMAGES_CAPTION, mosaic(rows, FULL_SCALE)),
        "profiles": figures.profiles(case, profiles),
    }


def _noise(run: Run, storage: Storage, fab: npt.NDArray[np.uint8]) -> dict[str, Any] | None:
    """The fab's noise, and made queries beside its images; None where the run has no model."""
    noise = NoiseModel.load(run.storage(storage.case))
    if noise is None:
        return None
    keys = _first(storage.keys, SAMPLES)
    made = noise.added(keys, np.random.default_rng(run.config.seed))
    rows = {
        "fab": _first(fab, SAMPLES),
        "made": made.clip(0, 255).round().astype(np.uint8),
        "adapted": keys,
    }
    return {
        "groups": noise.groups,
        "found": noise.found,
        "offset": float(np.sqrt(np.mean(np.square(noise.offset)))),
        "images": page_figure(f"noise-{storage.case}", NOISE_CAPTION, mosaic(rows, FULL_SCALE)),
    }


def _zones(intervals: Intervals) -> list[list[str]]:
    return [
        [
            "certain (all neighbours agree)" if zone == "certain" else zone,
            f"{100 * share:.1f} %",
            f"{intervals.half_width[zone]:.2f}",
            f"{100 * intervals.pixels[zone]:.1f} %",
        ]
        for zone, share in intervals.coverage.items()
    ]


def _blending(folder: Path) -> dict[str, Any] | None:
    """The blending of neighbours that was chosen, and how many were compared; None without."""
    if not (folder / TRIALS).exists():
        return None
    trials = json.loads((folder / TRIALS).read_text(encoding="utf-8"))
    return {"chosen": trials[0], "compared": len(trials), "nearest": _nearest(trials)}


def _nearest(trials: list[dict[str, Any]]) -> float:
    """The expected error of the most similar pair alone."""
    return min(trial["rmse"] for trial in trials if trial["neighbours"] == 1)


def _first(images: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    return np.asarray(images[:count])
