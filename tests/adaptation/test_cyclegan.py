"""The training step, the averages, and training that goes on exactly where it was."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semtf.adaptation import train as training
from semtf.adaptation.base import Generated
from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.cyclegan import CycleGAN
from semtf.checkpoint import Checkpoint
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    width=4,
    batch=2,
    critic_steps=2,
    first_epochs=3,
    other_epochs=2,
    steps_per_epoch=2,
    warm_up_steps=0,
)
# Wide enough for Winograd's convolutions.
WIDE = {"width": 32, "padding": "replicate"}
RECIPE = {"norm": "batch", "critic_norm": "group", "dropout": 0.3, **WIDE}


def sets(seed: int = 0) -> tuple[SimulatorSet, FabSet]:
    rng = np.random.default_rng(seed)
    sem = rng.integers(0, 213, (20, 2, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(20)])
    simulator = SimulatorSet(1, sem, sem[:, 0], names, names)
    return simulator, FabSet(1, sem[::-1, 1], names, names)


def weights(folder: Path, config: AdaptationConfig = CONFIG) -> list[np.ndarray]:
    model = training.load_generator(folder, IMAGE, config)
    return [np.asarray(v) for v in model.weights]


@pytest.mark.parametrize("changes", [{}, pytest.param(WIDE, marks=pytest.mark.slow)])
def test_two_replicas_take_the_same_step_as_one(changes: dict[str, object]) -> None:
    command = [sys.executable, Path(__file__).with_name("two_replicas.py"), json.dumps(changes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    difference, size = (float(word) for word in done.stdout.split())
    assert size > 1e-2
    assert difference < 1e-4 * size


def test_a_step_moves_every_network() -> None:
    keras.utils.set_random_seed(0)
    network = CycleGAN(IMAGE, CONFIG, 0)
    network.compile()
    before = [np.array(v) for v in network.generator_variables() + network.critic_variables()]
    images = np.random.default_rng(0).uniform(-1, 1, (4, 24, 16, 1)).astype(np.float32)
    logs = network.train_step((tf.constant(images), tf.constant(images[::-1])))
    after = network.generator_variables() + network.critic_variables()
    for old, new in zip(before, after, strict=True):
        if old.shape[-1] != 1 or old.ndim > 1:
            assert np.abs(old - np.asarray(new)).max() > 0, new.name
    assert set(logs) == {"critic", "penalty", "adversarial", "cycle", "identity"}
    assert int(network.step) == 1
    np.testing.assert_allclose(
        logs["identity"],
        np.abs(images[1::2] - network.to_target(images[1::2])).mean()
        + np.abs(images[::-1][1::2] - network.to_source(images[::-1][1::2])).mean(),
        rtol=0.05,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "lsgan"},
        {"identity": "target"},
        {"critic_steps": 1},
        {"precision": "mixed_bfloat16"},
        {"critic_norm": "spectral"},
        RECIPE,
    ],
)
def test_every_option_trains(changes: dict[str, object], tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, first_epochs=1, steps_per_epoch=3, **changes)
    simulator, fab = sets()
    training.train(simulator, fab, IMAGE, config, folder=tmp_path, seed=0)
    row = pd.read_csv(tmp_path / "history.csv").iloc[0]
    assert np.isfinite(row[["critic", "adversarial", "cycle", "identity"]].astype(float)).all()
    assert (row["penalty"] == 0) == (config.loss == "lsgan")
    assert keras.mixed_precision.global_policy().name == "float32"


def test_identity_of_the_paper_is_zero_for_a_generator_that_changes_nothing() -> None:
    network = CycleGAN(IMAGE, dataclasses.replace(CONFIG, identity="target"), 0)
    same = tf.random.stateless_uniform((2, 24, 16, 1), (0, 0))
    other = tf.random.stateless_uniform((2, 24, 16, 1), (0, 1))
    network.to_target = network.to_source = lambda images, training: images
    assert float(network._identity((same, other), (other, same))) == 0
    network.config = dataclasses.replace(CONFIG, identity="input")
    expected = 2 * np.abs(np.asarray(same) - np.asarray(other)).mean()
    np.testing.assert_allclose(network._identity((same, other), (other, same)), 0, atol=1e-7)
    np.testing.assert_allclose(network._identity((same, other), (same, other)), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 40), (80, 48)])
def test_images_of_another_size_are_adapted(size: tuple[int, int], tmp_path: Path) -> None:
    image = ImageConfig(*size)
    config = dataclasses.replace(CONFIG, first_epochs=1, steps_per_epoch=1, **WIDE)
    sem = np.random.default_rng(0).integers(0, 213, (8, 2, *size), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(8)])
    simulator, fab = (
        SimulatorSet(1, sem, sem[:, 0], names, names),
        FabSet(1, sem[:, 1], names, names),
    )
    network = training.train(simulator, fab, image, config, folder=tmp_path, seed=0)
    loaded = Generated(training.load_generator(tmp_path, image, config))
    adapted = loaded.adapt(simulator.mean_sem())
    assert adapted.shape == (8, *size)
    expected = Generated(network.to_target).adapt(simulator.mean_sem())
    np.testing.assert_array_equal(adapted, expected)


@pytest.mark.parametrize("changes", [{}, pytest.param(RECIPE, marks=pytest.mark.slow)])
def test_training_goes_on_bit_for_bit(changes: dict[str, object], tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    simulator, fab = sets()
    training.train(simulator, fab, IMAGE, config, folder=tmp_path / "whole", seed=5)

    class StopTrainingError(Exception):
        pass

    write = Checkpoint.on_epoch_end

    def stop(self: Checkpoint, epoch: int, logs: object = None) -> None:
        if epoch == 2:
            # As if the kill came between the tables' next rows and the checkpoint.
            raise StopTrainingError
        write(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", stop)
        with pytest.raises(StopTrainingError):
            training.train(simulator, fab, IMAGE, config, folder=tmp_path / "parts", seed=5)
    training.train(simulator, fab, IMAGE, config, folder=tmp_path / "parts", seed=5)
    both = (weights(tmp_path / name, config) for name in ("whole", "parts"))
    for whole, parts in zip(*both, strict=True):
        np.testing.assert_array_equal(whole, parts)
    for name in ("history.csv", "criterion.csv", "choice.json"):
        whole, parts = ((tmp_path / folder / name).read_text() for folder in ("whole", "parts"))
        assert whole == parts
    lines = (tmp_path / "parts" / "criterion.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2", "3"]
    assert not (tmp_path / "parts" / "checkpoint.npz").exists()


def test_warm_start_begins_with_the_other_cases_weights(tmp_path: Path) -> None:
    simulator, fab = sets()
    training.train(simulator, fab, IMAGE, CONFIG, folder=tmp_path / "first", seed=1)
    still = dataclasses.replace(CONFIG, learning_rate=1e-30, other_epochs=1)
    later = training.train(
        simulator,
        fab,
        IMAGE,
        still,
        folder=tmp_path / "second",
        seed=2,
        warm_start=tmp_path / "first",
    )
    rates = later.config.learning_rate, later.config.critic_rate
    assert rates == (0.5 * still.learning_rate, 0.5 * still.critic_rate)
    for first, second in zip(
        weights(tmp_path / "first"), weights(tmp_path / "second"), strict=True
    ):
        np.testing.assert_allclose(first, second, atol=1e-7)


def test_moving_average_forgets_the_first_weights_and_is_applied_for_a_while() -> None:
    network = CycleGAN(IMAGE, CONFIG, 0)
    average = MovingAverage(network, 0.9)
    kernel = network.to_target.weights[0]
    start = np.array(kernel)
    kernel.assign_add(tf.ones_like(kernel))
    left = 1.0
    for step in (1, 2, 1000):
        network.step.assign(step)
        average.on_train_batch_end(0)
        left *= min(0.9, (1 + step) / (10 + step))
    assert left == pytest.approx(2 / 11 * 3 / 12 * 0.9)
    with average.applied():
        np.testing.assert_allclose(kernel, start + (1 - left), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kernel, start + 1, rtol=1e-6)


def test_adapting_is_the_generator_in_grey_levels() -> None:
    network = CycleGAN(IMAGE, CONFIG, 0)
    sem = np.random.default_rng(0).uniform(0, 212, (7, 24, 16)).astype(np.float32)
    adapted = Generated(network.to_target).adapt(sem, batch=3)
    expected = (np.asarray(network.to_target(sem[..., None] / 106 - 1))[..., 0] + 1) * 106
    assert adapted.dtype == np.uint8
    np.testing.assert_allclose(adapted, expected, atol=0.51)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"to_target\.weights\.h5"):
        training.load_generator(tmp_path, IMAGE, CONFIG)
