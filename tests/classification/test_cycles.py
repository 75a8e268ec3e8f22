"""The rate of a classifier's training, and how many cycles it has."""

import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from semtf.classification.callbacks import TimeLimit
from semtf.classification.cycles import Cycles
from semtf.classification.train import train
from semtf.config import ClassificationConfig

STEPS = 10


class Model:
    """What callbacks see of a model."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = keras.optimizers.SGD(1.0)


def trained(cycles: Cycles, accuracies: list[float], *before: keras.callbacks.Callback) -> list:
    """The rates of each epoch, of a training whose accuracies on images put aside are given."""
    rates = []
    callbacks = [*before, cycles]
    model = Model()
    for callback in callbacks:
        callback.set_model(model)
    for epoch in range(cycles.config.epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        rates.append([])
        for step in range(STEPS):
            cycles.on_train_batch_begin(step)
            rates[-1].append(float(model.optimizer.learning_rate))
        logs = {"val_accuracy": accuracies[epoch]} if accuracies else {}
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    return rates


@pytest.mark.parametrize("warm_up", [0.0, 0.05, 0.3])
def test_a_cycle_is_the_cosine_of_keras(warm_up: float) -> None:
    config = ClassificationConfig(epochs=4, cycle=4, warm_up=warm_up, learning_rate=1e-3)
    steps = 4 * STEPS
    rise = round(warm_up * steps)
    expected = keras.optimizers.schedules.CosineDecay(
        0.0 if rise else 1e-3,
        steps - rise,
        warmup_target=1e-3 if rise else None,
        warmup_steps=rise,
    )
    found = np.ravel(trained(Cycles(config, STEPS), []))
    np.testing.assert_allclose(found, [float(expected(i)) for i in range(steps)], atol=1e-9)


@pytest.mark.parametrize(
    ("cap", "accuracies", "epochs"),
    [
        (14, [], 2),
        (14, [0.5, 1.0], 2),
        (14, [0.5, 0.991], 2),
        (14, [0.5, 0.9, *[0.5] * 3, 1.0], 6),
        (14, [0.5, 0.9, *[0.5] * 3, 0.905], 6),
        (14, [0.5, 0.9, *[0.5] * 3, 0.95, *[0.9] * 8], 14),
        (13, [0.5, 0.9, *[0.5] * 3, 0.95, *[0.9] * 7], 13),
        (9, [0.5, 0.9, *[0.5] * 3, 0.95], 6),
        (3, [0.5, 0.9], 2),
        (1, [0.5], 1),
    ],
)
def test_another_cycle_where_it_pays(cap: int, accuracies: list[float], epochs: int) -> None:
    config = ClassificationConfig(epochs=cap, cycle=2, warm_up=0.05)
    assert len(trained(Cycles(config, STEPS), accuracies)) == epochs


def test_each_cycle_begins_at_the_peak_and_ends_at_zero() -> None:
    config = ClassificationConfig(epochs=6, cycle=2, warm_up=0.0, learning_rate=0.5)
    rates = trained(Cycles(config, STEPS), [0.9] * 6)
    assert [max(epoch) for epoch in (rates[0], rates[2])] == [0.5, 0.5]
    for last, length in ((1, 2), (5, 4)):
        assert rates[last][-1] == pytest.approx(0.5 * (np.pi / 2 / length / STEPS) ** 2, rel=0.01)


class Clock(keras.callbacks.Callback):
    """Epochs that take seconds: the first, in which TensorFlow traces, three, the others one."""

    now = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.now += 3.0 if epoch == 0 else 1.0


@pytest.mark.parametrize(("seconds", "epochs"), [(0.0, 1), (8.5, 6), (11.5, 9), (60.0, 10)])
def test_the_cosine_fits_into_the_time(
    seconds: float, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    config = ClassificationConfig(epochs=10, cycle=10, warm_up=0.0, learning_rate=1.0)
    limit = TimeLimit(seconds)
    rates = trained(Cycles(config, STEPS, limit), [0.5] * 10, clock, limit)
    assert len(rates) == epochs
    if epochs > 1:
        assert rates[-1][-1] == pytest.approx((np.pi / 2 / epochs / STEPS) ** 2, rel=0.01)


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    cases = np.repeat([1, 2], 40)
    shade = (100 - 30 * cases)[:, None, None]
    images = (shade + generator.normal(0, 5, (80, 16, 16))).clip(0, 212).astype(np.uint8)
    return images, cases, np.array([f"site_{i // 10}" for i in range(80)])


def epochs_of(labelled: tuple[np.ndarray, ...], folder: Path) -> int:
    config = ClassificationConfig(
        backbone="statistics", batch=16, epochs=7, cycle=1, steps_per_epoch=20, learning_rate=0.3
    )
    train(*labelled, config, seed=0, folder=folder)
    return len(pd.read_csv(folder / "history.csv"))


def test_plain_cases_need_one_cycle(labelled: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    assert epochs_of(labelled, tmp_path) == 1


def test_cases_that_cannot_be_told_get_another(
    labelled: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    images, cases, sites = labelled
    wrong = np.where(np.arange(len(cases)) % 5 == 0, 3 - cases, cases)
    assert epochs_of((images, wrong, sites), tmp_path) == 3
