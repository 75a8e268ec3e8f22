"""A case of a run on its page: adapter, neighbours, noise, intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.adaptation.adapter_selection import TABLE as SELECTION_TABLE
from semtf.adapter_table import SELECTION
from semtf.data.dataset import Dataset
from semtf.data.network_scale import FULL_SCALE
from semtf.estimation.averaging import Average
from semtf.estimation.intervals import Intervals
from semtf.estimation.preparation import TRIALS
from semtf.json_fields import parse_json
from semtf.noise.model import NoiseModel
from semtf.pages.figure import page_figure
from semtf.pages.mosaic import mosaic
from semtf.report import figures
from semtf.retrieval.storage import Storage
from semtf.run import Run

SAMPLES = 6
IMAGES_CAPTION = "Simulator, adapted and depth show the same structures; the fab row shows others."
NOISE_CAPTION = "Images of the fab, made ones, and the adapted ones that they are made of."
PROFILE_IMAGES = 200


def case_values(run: Run, dataset: Dataset, case: int) -> dict[str, Any]:
    """What the page shows of a case."""
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


def _selection(folder: Path) -> dict[str, Any] | None:
    """The adapter that `auto` chose, and the criterion of each; None where it did not choose."""
    if not (folder / SELECTION).exists():
        return None
    selection: dict[str, Any] = parse_json((folder / SELECTION).read_text(encoding="utf-8"))
    table = pd.read_csv(folder / SELECTION_TABLE).map(
        lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)
    )
    return {**selection, "columns": list(table.columns), "rows": table.to_numpy().tolist()}


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
    trials = parse_json((folder / TRIALS).read_text(encoding="utf-8"))
    return {"chosen": trials[0], "compared": len(trials), "nearest": _nearest(trials)}


def _nearest(trials: list[dict[str, Any]]) -> float:
    """The expected error of the most similar pair alone."""
    return min(trial["rmse"] for trial in trials if trial["neighbours"] == 1)


def _first(images: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    return np.asarray(images[:count])
