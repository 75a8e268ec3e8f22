"""Which epoch is kept, and what TensorBoard is shown, on a training with known generators."""

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
from semtf.adaptation.tensorboard import TensorBoardSummaries
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.dataset import FabSet, SimulatorSet

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(width=4, batch=2)
GREY = 150.0


def sets() -> tuple[SimulatorSet, FabSet]:
    """Dark simulator images, and noise around `GREY` from the fab."""
    rng = np.random.default_rng(0)
    sem = np.full((20, 2, 24, 16), 10, np.uint8)
    fab = rng.integers(int(GREY) - 10, int(GREY) + 10, (30, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(30)])
    return SimulatorSet(1, sem, sem[:, 0], names[:20], names[:20]), FabSet(1, fab, names, names)


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
    own = network.to_target.get_weights()
    evaluator = CriterionEvaluator(*sets())
    choice = EpochSelection(network, average, evaluator, tmp_path)
    choice.begin()
    assert not choice.helps()
    greys = (60.0, 140.0, 155.0, 200.0)
    for epoch, grey in enumerate(greys):
        show(network, average, grey)
        choice.on_epoch_end(epoch, {})
    for before, after in zip(own, network.to_target.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert choice.helps()
    choice.take(None)
    translated = choice.adapter.adapt(evaluator.sem)
    assert (translated == 155).all()
    table = pd.read_csv(tmp_path / "criterion.csv")
    assert list(table["epoch"]) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table["pixels"][1:], np.abs(np.array(greys) - GREY), atol=2)
    expected = criterion(evaluator.sem, translated, evaluator.fab)
    assert table["score"][3] == pytest.approx(expected.score, rel=1e-5)
    note = json.loads((tmp_path / "choice.json").read_text())
    assert note == {"epoch": 3, "score": expected.score, "stopped": None}
    network.to_target.set_weights(own)


def test_average_depth_becomes_evidence() -> None:
    simulator, fab = sets()
    depths = np.repeat([100.0, 110.0, 120.0], 10)
    assert CriterionEvaluator(simulator, fab)(simulator.sem[:, 0]).depth is None
    assert CriterionEvaluator(simulator, fab, depths)(simulator.sem[:, 0]).depth > 1


def test_tensorboard_has_scalars_grids_and_histograms(network: CycleGAN, tmp_path: Path) -> None:
    average = MovingAverage(network, 0.9)
    simulator, fab = sets()
    choice = EpochSelection(network, average, CriterionEvaluator(simulator, fab), tmp_path)
    board = TensorBoardSummaries(network, average, choice, simulator, fab, tmp_path)
    show(network, average, 60.0)
    choice.begin()
    for callback in (choice, board):
        callback.on_epoch_end(4, {"cycle": 0.25})
    (events,) = (tmp_path / "logs").iterdir()
    values = {
        value.tag: tf.make_ndarray(value.tensor)
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
        if event.step == 5
    }
    assert values["loss/cycle"] == 0.25
    assert values["learning rate"] == pytest.approx(CONFIG.learning_rate)
    assert values["criterion/score"] == pytest.approx(choice.last.score)
    width, height, png = values["S to T to S"]
    assert (int(width), int(height)) == (3 * 16, 4 * 24)
    grid = tf.io.decode_png(png).numpy()[..., 0]
    np.testing.assert_allclose(grid[:, 16:32], 60 / 212 * 255, atol=1)
    np.testing.assert_allclose(grid[:, :16], 10 / 212 * 255, atol=1)
    assert len(values["T to S to T"]) == 3
    buckets = values["target percentile 95/translated"]
    assert buckets[:, 2].sum() == len(simulator)
    assert buckets[:, :2].min() == pytest.approx(60, abs=1)
    for name in ("target percentile 5/fab", "source percentile 50/simulator"):
        assert values[name][:, 2].sum() in (len(fab), len(simulator))
