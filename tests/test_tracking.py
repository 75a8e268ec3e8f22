"""Keras callbacks of a training: the example of docs/tracking.md, and what callbacks are shown."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import semtf
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.train import load_generator
from semtf.config import RunConfig
from semtf.errors import InputError
from semtf.run import Run

DOCS = Path(__file__).parents[1] / "docs" / "tracking.md"


class FakeMLflow(ModuleType):
    """The three functions of MLflow that the example uses, with MLflow's arguments and checks."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, dict[int, float]] = {}

    def start_run(self, *, run_name: str) -> "FakeMLflow":
        self.run_name = run_name
        return self

    def __enter__(self) -> "FakeMLflow":
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True

    def log_params(self, params: dict[str, Any]) -> None:
        for name, value in params.items():
            assert self.params.setdefault(name, value) == value, "MLflow refuses another value"

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            assert re.fullmatch(r"[\w/. -]+", name), "MLflow refuses such a name"
            steps = self.metrics.setdefault(name, {})
            assert step not in steps, f"{name} has a value at step {step} already"
            steps[step] = float(value)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMLflow]:
    module = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


class Recorder(keras.callbacks.Callback):
    """What a callback is shown, by name of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, keras.Model] = {}
        self.batches: dict[str, int] = {}
        self.epochs: dict[str, list[dict[str, float]]] = {}
        self.averages: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        name = self.model.name
        self.batches[name] = self.batches.get(name, 0) + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.models[self.model.name] = self.model
        self.epochs.setdefault(self.model.name, []).append(dict(logs or {}))
        if isinstance(self.model, CycleGAN):
            with self.model.averaged():
                self.averages.append(self.model.to_target.get_weights()[0])


@pytest.fixture(scope="module")
def config(small_config: RunConfig) -> RunConfig:
    """A small training, without what comes after it and calls no callback."""
    return small_config.with_settings({"retrieval.index": "exact", "retrieval.tune": "false"})


@pytest.fixture(scope="module")
def recorded(
    fab: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Recorder]:
    recorder = Recorder()
    folder = tmp_path_factory.mktemp("tracking") / "run"
    run = semtf.train(fab, 1, run=folder, config=config, callbacks=[recorder])
    semtf.train(fab, 3, run=folder, callbacks=[recorder])
    return run, recorder


def losses(folder: Path) -> pd.DataFrame:
    """The history of a training, without Keras' columns for a validation that there was not."""
    return pd.read_csv(folder / "history.csv").drop(columns="epoch").dropna(axis="columns")


def test_a_callback_sees_every_network_with_its_losses(recorded: tuple[Run, Recorder]) -> None:
    run, recorder = recorded
    assert list(recorder.models) == ["cyclegan_case_1", "small", "cyclegan_case_3"]
    assert recorder.batches["cyclegan_case_1"] == 2 * 2
    for case in (1, 3):
        history = losses(run.adaptation(case))
        criteria = pd.read_csv(run.adaptation(case) / "criterion.csv")
        epochs = recorder.epochs[f"cyclegan_case_{case}"]
        assert len(epochs) == len(history)
        for i, logs in enumerate(epochs):
            assert {k: logs[k] for k in history} == pytest.approx(dict(history.iloc[i]), rel=1e-5)
            assert logs["criterion_score"] == pytest.approx(criteria.score[i + 1], rel=1e-5)
            known = criteria.drop(columns="epoch").iloc[i + 1].dropna()
            assert set(logs) - set(history) == {f"criterion_{part}" for part in known.index}
    history = losses(run.classifier)
    assert recorder.epochs["small"][-1] == pytest.approx(dict(history.iloc[-1]), rel=1e-5)
    assert {"loss", "accuracy"} <= set(history)


def test_a_callback_can_look_at_the_averaged_generator(recorded: tuple[Run, Recorder]) -> None:
    run, recorder = recorded
    image, adaptation = run.config.image, run.config.adaptation
    kept = load_generator(run.adaptation(1), image, adaptation).get_weights()[0]
    chosen = json.loads((run.adaptation(1) / "choice.json").read_text())["epoch"] - 1
    np.testing.assert_array_equal(recorder.averages[chosen], kept)
    assert not np.array_equal(recorder.averages[1 - chosen], kept)


def test_the_example_logs_to_mlflow(
    mlflow: FakeMLflow, fab: Path, config: RunConfig, tmp_path: Path
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    names = {"data": fab, "config": config, "path": tmp_path / "run"}
    block = block.replace("semtf.train(data,", "semtf.train(data, 1,")  # one case is enough
    exec(block, names)  # noqa: S102 - our own documentation
    run = Run.open(tmp_path / "run")
    assert mlflow.run_name == "run"
    assert mlflow.ended
    assert mlflow.params["adaptation.width"] == config.adaptation.width
    assert mlflow.params["seed"] == config.seed
    for case in run.cases:
        history = pd.read_csv(run.adaptation(case) / "history.csv")
        cycle = mlflow.metrics[f"cyclegan_case_{case}/cycle"]
        assert list(cycle) == list(range(1, len(history) + 1))
        assert list(cycle.values()) == pytest.approx(list(history.cycle), rel=1e-5)
    accuracy = pd.read_csv(run.classifier / "history.csv").accuracy
    assert list(mlflow.metrics["small/accuracy"].values()) == pytest.approx(list(accuracy))


def test_a_training_can_be_stopped_by_a_callback(
    fab: Path, config: RunConfig, tmp_path: Path
) -> None:
    class StopAtOnce(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.model.stop_training = True

    run = semtf.train(fab, 2, run=tmp_path / "run", config=config, callbacks=[StopAtOnce()])
    assert run.finished
    for folder in (run.adaptation(2), run.classifier):
        assert len(pd.read_csv(folder / "history.csv")) == 1


def test_what_is_no_callback_is_refused_before_anything_is_made(fab: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"callbacks: <built-in function print> is no Keras"):
        semtf.train(fab, run=tmp_path / "run", callbacks=[print])
    assert not (tmp_path / "run").exists()
