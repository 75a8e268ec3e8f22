"""Which epoch is kept, and what TensorBoard is shown, on a training with known generators."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.criterion import criterion
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.epoch_selection import CriterionEvaluator, EpochSelection
from semtf.adaptation.schedule import Schedule
from semtf.adaptation.tensorboard import TensorBoardSummaries
from semtf.config import AdaptationConfig, Epoch, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(width=4, batch=2, match_mean=False, warm_up_steps=0)
GREY = 150.0


def sets() -> tuple[SimulatorSet, FabSet]:
    """Dark simulator images, and noise around `GREY` from the fab."""
    rng = np.random.default_rng(0)
    sem = np.full((20, 2, 24, 16), 10, np.uint8)
    fab = rng.integers(int(GREY) - 10, int(GREY) + 10, (30, 24, 16), dtype=np.uint8)
    depth = sem[:, 0].copy()
    depth[:, :2] = 140  # the plate
    names = np.array([f"n{i}" for i in range(30)])
    return SimulatorSet(1, sem, depth, names[:20], names[:20]), FabSet(1, fab, names, names)


@pytest.fixture(scope="module")
def network() -> CycleGAN:
    keras.utils.set_random_seed(0)
    network = CycleGAN(IMAGE, CONFIG, 0)
    network.compile()
    return network


def show(network: CycleGAN, average: MovingAverage, grey: float) -> None:
    """Let the averaged generator to the fab draw every image in one grey level."""
    kernel, bias = average.average[: len(network.to_target.weights)][-2:]
    kernel.assign(tf.zeros_like(kernel))
    bias.assign([np.arctanh(grey / 106 - 1)])


def test_the_epoch_with_the_best_score_is_taken(network: CycleGAN, tmp_path: Path) -> None:
    average = MovingAverage(network, 0.9)
    trained = network.to_target.get_weights()
    evaluator = CriterionEvaluator(*sets())
    schedule = Schedule(network, evaluator.sites, epochs=9)
    selection = EpochSelection(network, average, evaluator, tmp_path, schedule)
    selection.begin()
    assert not selection.helps()
    greys = (60.0, 140.0, 155.0, 200.0)
    for epoch, grey in enumerate(greys):
        show(network, average, grey)
        logs = {"cycle": 0.5}
        selection.on_epoch_end(epoch, logs)
    for before, after in zip(trained, network.to_target.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert selection.helps()
    selection.apply(None)
    translated = network.translators[0].adapt(evaluator.sem)
    assert (translated == 155).all()
    table = pd.read_csv(tmp_path / "criterion.csv")
    assert list(table["epoch"]) == [0, 1, 2, 3, 4]
    last = table.drop(columns="depth").iloc[-1].drop("epoch")
    assert logs.pop("cycle") == 0.5
    assert logs == pytest.approx({f"criterion_{part}": v for part, v in last.items()}, rel=1e-4)
    np.testing.assert_allclose(table["pixels"][1:], np.abs(np.array(greys) - GREY), atol=2)
    expected = criterion(evaluator.sem, translated, evaluator.fab)
    assert table["score"][3] == pytest.approx(expected.score, rel=1e-5)
    note = json.loads((tmp_path / "choice.json").read_text())
    assert note["epoch"] == 3
    assert note["score"] == expected.score
    assert note["stopped"] is None
    assert "gains" in note["ended"]  # the fourth epoch was worse
    assert "lost their hole" in "".join(note["warnings"])  # every image is one grey level
    network.to_target.set_weights(trained)


@pytest.mark.parametrize(("epoch", "kept"), [("best", 1), ("last", 2)])
def test_the_last_epoch_is_taken_where_the_settings_say_so(
    network: CycleGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: Epoch, kept: int
) -> None:
    monkeypatch.setattr(network, "config", dataclasses.replace(CONFIG, epoch=epoch))
    average, evaluator = MovingAverage(network, 0.9), CriterionEvaluator(*sets())
    schedule = Schedule(network, evaluator.sites, epochs=9)
    selection = EpochSelection(network, average, evaluator, tmp_path, schedule)
    selection.begin()
    for number, grey in enumerate((155.0, 200.0)):
        show(network, average, grey)
        selection.on_epoch_end(number)
    assert selection.epoch == kept


def test_of_equal_epochs_the_latest_is_taken(
    network: CycleGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = CriterionEvaluator(*sets())
    compared = evaluator.compare(np.rint(evaluator.sem).astype(np.uint8))
    scores = iter((1.0, 1.019, 1.025, 0.99, 1.009, 1.012))
    monkeypatch.setattr(
        evaluator,
        "compare",
        lambda adapted: dataclasses.replace(
            compared, criterion=dataclasses.replace(compared.criterion, score=next(scores))
        ),
    )
    schedule = Schedule(network, evaluator.sites, epochs=9)
    monkeypatch.setattr(evaluator.__class__, "__call__", lambda *_: compared.criterion)
    average = MovingAverage(network, 0.9)
    selection = EpochSelection(network, average, evaluator, tmp_path, schedule)
    selection.begin()
    chosen = []
    for epoch in range(6):
        selection.on_epoch_end(epoch)
        chosen.append(selection.epoch)
    assert chosen == [1, 2, 2, 4, 5, 5]
    assert selection.score == 1.009


def test_average_depth_becomes_evidence() -> None:
    simulator, fab = sets()
    depths = np.repeat([100.0, 110.0, 120.0], 10)
    assert CriterionEvaluator(simulator, fab)(simulator.sem[:, 0]).depth is None
    assert CriterionEvaluator(simulator, fab, depths)(simulator.sem[:, 0]).depth > 1


def test_tensorboard_has_scalars_grids_and_histograms(network: CycleGAN, tmp_path: Path) -> None:
    average = MovingAverage(network, 0.9)
    simulator, fab = sets()
    evaluator = CriterionEvaluator(simulator, fab)
    schedule = Schedule(network, evaluator.sites, epochs=9)
    selection = EpochSelection(network, average, evaluator, tmp_path, schedule)
    summaries = TensorBoardSummaries(simulator, fab, tmp_path)
    show(network, average, 60.0)
    selection.begin()
    logs = {"cycle": 0.25}
    for callback in (selection, summaries):
        callback.set_model(network)
        callback.on_epoch_end(4, logs)
    (events,) = (tmp_path / "logs").iterdir()
    values = {
        value.tag: tf.make_ndarray(value.tensor)
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
        if event.step == 5
    }
    assert values["loss/cycle"] == 0.25
    assert values["learning rate"] == pytest.approx(CONFIG.learning_rate)
    assert values["criterion/score"] == pytest.approx(logs["criterion_score"])
    assert "loss/criterion_score" not in values
    width, height, png = values["S to T to S"]
    assert (int(width), int(height)) == (3 * 16, 4 * 24)
    grid = tf.io.decode_png(png).numpy()[..., 0]
    np.testing.assert_allclose(grid[:, 16:32], 60 / 212 * 255, atol=1)
    np.testing.assert_allclose(grid[:, :16], 10 / 212 * 255, atol=1)
    _, _, png = values["T to S to T"]
    grid = tf.io.decode_png(png).numpy()[..., 0]
    np.testing.assert_allclose(grid[:24, :16], fab.images[0] / 212 * 255, atol=1)
    np.testing.assert_allclose(grid[:, 32:48], 60 / 212 * 255, atol=1)
    buckets = values["target percentile 95/translated"]
    assert buckets[:, 2].sum() == len(simulator)
    assert buckets[:, :2].min() == pytest.approx(60, abs=1)
    fifth, median = values["target percentile 5/fab"], values["source percentile 50/simulator"]
    assert (fifth[:, 2].sum(), median[:, 2].sum()) == (len(fab), len(simulator))
    assert fifth[:, :2].min() == pytest.approx(
        np.percentile(fab.images.reshape(len(fab), -1), 5, axis=1).min()
    )
    assert median[:, :2].min() == pytest.approx(10)
