"""The page of a run: its data, what its networks learned, and its errors."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.adaptation import adapter
from semtf.adaptation.adapter_selection import SELECTION
from semtf.adaptation.adapter_selection import TABLE as SELECTION_TABLE
from semtf.adaptation.train import HISTORY
from semtf.data.dataset import Dataset
from semtf.errors import InputError
from semtf.estimation.averaging import Average
from semtf.estimation.intervals import Intervals
from semtf.estimation.preparation import TRIALS
from semtf.noise.model import NoiseModel
from semtf.outputs import check_file, replacing
from semtf.report import figures
from semtf.retrieval.storage import Storage
from semtf.run import Run

TEMPLATE = "report.html"
SAMPLES = 6
PROFILE_IMAGES = 200


def write_report(run: Run, dataset: Dataset, out: Path, *, benchmark: Path | None = None) -> None:
    """Write one self-contained HTML page.

    Args:
        run: a trained run.
        dataset: the data it was trained on, for the pictures.
        out: the file to write.
        benchmark: CSV that ``semtf benchmark --out`` wrote, for the RMSE table.

    Raises:
        InputError: `check_page` refuses ``out``, or the benchmark's table cannot be read.
    """
    check_page(out, benchmark)
    template = resources.files("semtf.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    classifier = _classifier(run)
    bins = classifier["metrics"]["reliability"]
    page = environment.from_string(template).render(
        name=run.path.name,
        preset=run.config.preset,
        data=json.loads((run.path / "data.json").read_text(encoding="utf-8")),
        scores=_scores(benchmark),
        classifier=classifier,
        reliability=figures.data_url(figures.reliability_diagram(bins)) if bins else None,
        curves=_curves(run),
        criteria=[table for case in run.cases if (table := _criterion(run, case))],
        cases=[_case(run, dataset, case) for case in run.cases],
        config=run.config.to_json(),
    )
    with replacing(out) as partial:
        partial.write_text(page, encoding="utf-8")


def check_page(out: Path, benchmark: Path | None) -> None:
    """Raise InputError where ``out`` cannot be written, or is another file than such a page."""
    check_file(out, ".html", "<title>semtf run ", [benchmark])


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


def _curves(run: Run) -> str | None:
    folders = {case: adapter.chosen_folder(run.adaptation(case)) for case in run.cases}
    paths = {f"case {case}": folder / HISTORY for case, folder in folders.items()}
    histories = {name: path for name, path in paths.items() if path.exists()}
    return figures.data_url(figures.training_curves(histories)) if histories else None


def _criterion(run: Run, case: int) -> dict[str, Any] | None:
    """The criterion of every epoch of a case, and which one was chosen; None without training."""
    folder = adapter.chosen_folder(run.adaptation(case))
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
                "values": [f"{value:.4g}" for value in values],
                "chosen": epoch == choice["epoch"],
            }
            for epoch, *values in table.itertuples(index=False)
        ],
        "stopped": choice["stopped"],
        "ended": choice.get("ended"),
        "warnings": choice.get("warnings", []),
    }


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
    return {
        "case": case,
        "selection": _selection(run.adaptation(case)),
        "blending": _blending(run.storage(case)),
        "intervals": Intervals.load(run.storage(case)),
        "average": Average.load(run.storage(case), int(storage.values.max())),
        "noise": _noise(run, storage, fab.images),
        "pairs": len(storage),
        "fab": len(fab),
        "images": figures.data_url(figures.image_rows(rows)),
        "profiles": figures.data_url(figures.percentile_profiles(profiles)),
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
        "images": figures.data_url(figures.image_rows(rows)),
    }


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
