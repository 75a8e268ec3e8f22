"""When a training ends, and its learning rate until then, on made residuals and a made clock."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from semtf import budget
from semtf.adaptation.schedule import Schedule, clustered_error
from semtf.config import AdaptationConfig

SITES = np.repeat(["a", "b", "c", "d"], 5)
RATE = 1e-3


def watched(
    epochs: int, seconds: float | None = None, before: int = 0, **changes: object
) -> tuple[Schedule, keras.Model]:
    """A schedule of 25 % decay, and the model that it ends."""
    config = AdaptationConfig(learning_rate=RATE, **{"decay": 0.25, **changes})
    network = SimpleNamespace(config=config, optimizer=SimpleNamespace(learning_rate=None))
    schedule = Schedule(network, SITES, epochs=epochs, before=before, seconds=seconds)
    model = keras.Sequential()
    model.stop_training = False
    schedule.set_model(model)
    return schedule, model


def run(schedule: Schedule, model: keras.Model, residual: dict[int, float] | float) -> list[float]:
    """The rates of all epochs until the schedule ends the training."""
    rates = []
    for epoch in range(100):
        schedule.on_epoch_begin(epoch)
        rates.append(schedule.network.optimizer.learning_rate)
        value = residual[epoch + 1] if isinstance(residual, dict) else residual
        schedule.judged(epoch + 1, np.full(20, value) + np.linspace(0, 1e-4, 20))
        schedule.on_epoch_end(epoch)
        if model.stop_training:
            break
    return rates


def test_a_training_that_gains_goes_on_to_the_cap_and_falls_to_zero_there() -> None:
    schedule, model = watched(12)
    rates = run(schedule, model, {e: 1 / e for e in range(1, 101)})
    assert len(rates) == 12
    expected = [RATE] * 9 + [RATE * share for share in (5 / 6, 3 / 6, 1 / 6)]
    np.testing.assert_allclose(rates, expected)
    assert schedule.reason == "the cap on epochs is near"


@pytest.mark.parametrize(("before", "epochs"), [(0, 4 + 2), (20, 30)])
def test_epochs_of_the_case_before_count_in_the_length_of_a_training(
    before: int, epochs: int
) -> None:
    """A gain of 3 % is less than a third of an epoch in 4, and more than that of one in 24."""
    schedule, model = watched(30, before=before)
    assert len(run(schedule, model, {e: 0.97**e for e in range(1, 101)})) == epochs


def test_a_training_that_stands_still_ends_early() -> None:
    schedule, model = watched(50)
    rates = run(schedule, model, 0.01)
    # Two windows of two epochs must be seen, then the rate falls over a quarter of all.
    assert len(rates) == 4 + 2
    np.testing.assert_allclose(rates[4:], [RATE * 0.75, RATE * 0.25])
    assert schedule.reason == "the criterion gains no more than its noise"


@pytest.mark.parametrize(("slope", "goes_on"), [(0.3, False), (0.4, True)])
def test_the_gain_of_an_epoch_is_weighed_against_its_time(slope: float, goes_on: bool) -> None:
    """With residual = epochs^−slope an epoch gains slope/epochs, whatever the epoch."""
    schedule, model = watched(40)
    rates = run(schedule, model, {e: e**-slope for e in range(1, 101)})
    assert (len(rates) == 40) is goes_on


def test_without_early_stopping_and_decay_all_epochs_run_at_the_halved_rates() -> None:
    schedule, model = watched(6, early_stopping=False, decay=0.0, halve_at=(2, 4))
    rates = run(schedule, model, 0.01)
    np.testing.assert_allclose(rates, np.repeat([RATE, RATE / 2, RATE / 4], 2))
    assert schedule.end == 6


def test_a_gain_within_its_noise_is_none() -> None:
    """All sites but one get worse; the mean gets better, but four sites cannot tell."""
    schedule, model = watched(50)
    del model
    for epoch, gains in enumerate(((0, 0, 0, 0), (0, 0, 0, 0), (9, -1, -1, -1), (9, -1, -1, -1))):
        schedule.judged(epoch + 1, 1 - np.repeat(gains, 5) / 10)
    assert schedule.reason == "the criterion gains no more than its noise"


def test_the_error_of_a_mean_counts_clusters_and_not_values() -> None:
    rng = np.random.default_rng(0)
    sites = rng.normal(size=40)
    cluster = np.repeat(np.arange(40), 30)
    found = clustered_error(np.repeat(sites, 30), cluster)
    assert found == pytest.approx(sites.std(ddof=1) / np.sqrt(40), rel=1e-6)
    alone = clustered_error(sites, np.arange(40))
    assert alone == pytest.approx(found)


class Clock:
    """Every epoch takes ten seconds."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds", "epochs"), [(85.0, 8), (45.0, 4), (1.0, 1), (1e6, 30)])
def test_time_ends_a_training_after_its_decay(
    seconds: float, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    schedule, model = watched(30, seconds=seconds)
    rates = []
    while not model.stop_training:
        schedule.on_epoch_begin(len(rates))
        rates.append(schedule.network.optimizer.learning_rate)
        clock.now += 10
        schedule.on_epoch_end(len(rates) - 1)
    assert len(rates) == epochs
    assert rates[-1] < RATE or epochs == 1


def test_no_time_left_adds_no_epoch_to_those_that_are_done() -> None:
    schedule, _ = watched(30, seconds=0.0)
    schedule.begin(7)
    assert schedule.end == 7
    fresh, _ = watched(30, seconds=0.0)
    fresh.begin(0)
    assert fresh.end == 30  # one epoch runs, and ends the training
