"""Sick trainings, made sick for real: each is stopped with its reason."""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semtf.adaptation import train as training
from semtf.adaptation.callbacks import TerminateOnDivergence
from semtf.adaptation.cyclegan import CycleGAN
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import TrainingError

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    width=4, batch=2, critic_steps=2, first_epochs=3, steps_per_epoch=2, warm_up_steps=0
)


@pytest.fixture
def network() -> CycleGAN:
    keras.utils.set_random_seed(0)
    network = CycleGAN(IMAGE, CONFIG, 0)
    network.compile()
    return network


def step(network: CycleGAN, scale: float) -> dict[str, float]:
    """The losses of one step on random images, all critic weights multiplied by ``scale``."""
    for critic in network.critics:
        critic.set_weights([weight * scale for weight in critic.get_weights()])
    images = np.random.default_rng(0).uniform(-1, 1, (4, 24, 16, 1)).astype(np.float32)
    logs = network.train_step((tf.constant(images), tf.constant(images[::-1])))
    return {name: float(value) for name, value in logs.items()}


def examine(logs: dict[str, float]) -> None:
    """An epoch of one step."""
    health = TerminateOnDivergence(IMAGE.shape, penalised=True)
    health.on_train_batch_end(0, logs)
    health.on_epoch_end(0, logs)


def test_a_healthy_step_is_let_pass(network: CycleGAN) -> None:
    examine(step(network, 1))


@pytest.mark.parametrize(
    ("scale", "reason"),
    [(np.nan, "critic loss is nan: lower"), (1e3, "the critic exploded"), (0, "critic is dead")],
)
def test_a_sick_step_is_stopped(network: CycleGAN, scale: float, reason: str) -> None:
    logs = step(network, scale)
    with pytest.raises(TrainingError, match=reason):
        examine(logs)


def test_no_penalty_is_no_dead_critic() -> None:
    logs = {"critic": 0.5, "penalty": 0.0}
    TerminateOnDivergence(IMAGE.shape, penalised=False).on_epoch_end(0, logs)
    TerminateOnDivergence(IMAGE.shape, penalised=True).on_epoch_end(0, logs)


def dark_and_grey() -> tuple[SimulatorSet, FabSet]:
    """Dark images and grey noise: a generator that has learned nothing is grey already."""
    rng = np.random.default_rng(0)
    sem = np.full((20, 2, 24, 16), 10, np.uint8)
    fab = rng.integers(96, 116, (20, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(20)])
    return SimulatorSet(1, sem, sem[:, 0], names, names), FabSet(1, fab, names, names)


def spoiled(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images of the training be no numbers from a step on."""
    healthy = training.unpaired

    def data(*arguments: object, **options: object) -> tf.data.Dataset:
        steps = healthy(*arguments, **options).enumerate()
        return steps.map(lambda i, images: (images[0], images[1] + (np.nan if i >= start else 0.0)))

    monkeypatch.setattr(training, "unpaired", data)


def test_the_best_epoch_is_kept_when_training_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled(4, monkeypatch)
    network = training.train(*dark_and_grey(), IMAGE, CONFIG, folder=tmp_path, seed=0)
    note = json.loads((tmp_path / "choice.json").read_text())
    table = pd.read_csv(tmp_path / "criterion.csv")
    assert "loss is nan" in note["stopped"]
    assert "loss is nan" in capsys.readouterr().err
    assert list(table["epoch"]) == [0, 1, 2]
    equal = table[1:][table["score"][1:] <= 1.02 * table["score"][1:].min()]
    assert note["epoch"] == equal["epoch"].max()
    assert all(np.isfinite(weight).all() for weight in network.to_target.get_weights())


def test_nothing_is_kept_when_no_epoch_helped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(0, monkeypatch)
    with pytest.raises(TrainingError, match=r"CycleGAN, case 1: the .* loss is nan"):
        training.train(*dark_and_grey(), IMAGE, CONFIG, folder=tmp_path, seed=0)
    assert not (tmp_path / "to_target.weights.h5").exists()
