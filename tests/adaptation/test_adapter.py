"""Choosing an adapter by name, and automatically by the label-free criterion."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage

from semtf.adaptation import adapter, adapter_selection
from semtf.adaptation.adapter_selection import AdapterTrial
from semtf.adaptation.criterion import Criterion
from semtf.adaptation.task import AdaptationTask
from semtf.adapter_table import ADAPTERS
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError

IMAGE = ImageConfig(24, 16)
NAMES = np.array([f"n{i}" for i in range(40)])


def task(name: str, **changes: object) -> AdaptationTask:
    """A fab that shows images of the simulator's kind, mixtures alike, with another grey curve."""
    rng = np.random.default_rng(0)
    parts = scipy.ndimage.gaussian_filter(rng.normal(size=(5, 24, 16)), (0, 2, 2)) / 0.14
    field = np.einsum("ip,phw->ihw", rng.normal(size=(80, 5)) / 5**0.5, parts)
    images = np.clip(100 + 30 * field, 5, 212).astype(np.uint8)
    curve = np.rint(212 * (np.arange(256) / 212.0) ** 0.4).clip(0, 255).astype(np.uint8)
    sem = np.stack([images[:40]] * 2, axis=1)
    config = AdaptationConfig(adapter=name, width=4, batch=2, warm_up_steps=0, **changes)
    return AdaptationTask(
        SimulatorSet(1, sem, sem[:, 0], NAMES, NAMES),
        FabSet(1, curve[images[40:]], NAMES, NAMES),
        IMAGE,
        config,
        seed=0,
    )


@pytest.mark.parametrize("name", [name for name, info in ADAPTERS.items() if not info.trained])
def test_what_was_fitted_is_read_again(name: str, tmp_path: Path) -> None:
    given = task(name)
    fitted = adapter.fit(given, tmp_path / "case_1")
    again = adapter.load(tmp_path / "case_1", IMAGE, given.config)
    sem = given.simulator.mean_sem()
    np.testing.assert_array_equal(again.adapt(sem), fitted.adapt(sem))
    assert np.array_equal(again.adapt(sem), sem) == (name == "none")


def test_auto_takes_what_comes_nearest_to_the_fab_and_says_why(tmp_path: Path) -> None:
    given = task("auto", candidates=("none", "percentile", "fda"))
    chosen = adapter.fit(given, tmp_path / "case_1")
    table = pd.read_csv(tmp_path / "case_1" / "selection.csv")
    assert table.adapter[0] == "percentile"
    assert set(table.adapter) == {"none", "percentile", "fda"}
    assert list(table.score) == sorted(table.score)
    note = json.loads((tmp_path / "case_1" / "selection.json").read_text())
    assert note["adapter"] == "percentile"
    assert f"{table.score[0]:.3g}" in note["reason"]
    assert table.adapter[1] in note["reason"]
    again = adapter.load(tmp_path / "case_1", IMAGE, given.config)
    sem = given.simulator.mean_sem()
    np.testing.assert_array_equal(again.adapt(sem), chosen.adapt(sem))


def test_auto_goes_on_with_the_candidates_that_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "case_1"
    adapter.fit(task("auto", candidates=("none", "percentile")), folder)
    trial = AdapterTrial.load(folder / "percentile" / "trial.json")
    known = dataclasses.replace(trial.criterion, score=-1.0)
    AdapterTrial("percentile", 7.0, known).save(folder / "percentile" / "trial.json")
    adapter.fit(task("auto", candidates=("none", "percentile", "moment")), folder)
    table = pd.read_csv(folder / "selection.csv", index_col="adapter")
    assert table.seconds["percentile"] == 7.0
    assert table.score["percentile"] == -1.0
    assert np.isfinite(table.score["moment"])


def trial(name: str, score: float | None) -> AdapterTrial:
    found = None if score is None else Criterion(0, 0, 0, 0, 0, 0, None, score)
    return AdapterTrial(name, 1.0, found, None if score is not None else "it diverged")


def test_the_simplest_of_nearly_equal_adapters_is_chosen() -> None:
    trials = [trial("cyclegan", 2.0), trial("moment", 2.03), trial("none", 2.05)]
    name, reason = adapter_selection.choose(trials)
    assert name == "moment"
    assert "simpler" in reason
    assert "cyclegan" in reason
    assert (
        adapter_selection.choose([trial("cyclegan", 2.0), trial("moment", 2.05)])[0] == "cyclegan"
    )


def test_failed_trainings_are_not_chosen() -> None:
    assert adapter_selection.choose([trial("cyclegan", None), trial("none", 9.0)])[0] == "none"
    with pytest.raises(InputError, match="it diverged"):
        adapter_selection.choose([trial("cyclegan", None)])


def test_a_folder_without_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"selection\.json"):
        adapter.load(tmp_path, IMAGE, AdaptationConfig(adapter="auto"))
