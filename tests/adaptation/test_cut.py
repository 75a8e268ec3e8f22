"""CUT: the contrastive loss against a slow version, its parts, and training that goes on."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import losses
from semtf.adaptation import train as training
from semtf.adaptation.cut import CUT
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    warm_up_steps=0,
    width=4,
    batch=2,
    first_epochs=2,
    steps_per_epoch=2,
    nce_patches=5,
    nce_features=6,
)


def images(seed: int, count: int = 4) -> tf.Tensor:
    return tf.random.stateless_uniform((count, 24, 16, 1), (seed, 0), -1, 1)


def slow_patch_nce(queries: np.ndarray, keys: np.ndarray, temperature: float) -> float:
    found = []
    for image in range(len(queries)):
        for patch, query in enumerate(queries[image]):
            scores = [np.exp(query @ key / temperature) for key in keys[image]]
            found.append(-np.log(scores[patch] / sum(scores)))
    return float(np.mean(found))


def unit(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_patch_nce_is_the_cross_entropy_of_the_own_key() -> None:
    queries, keys = unit(0, (3, 7, 5)), unit(1, (3, 7, 5))
    found = losses.patch_nce(tf.constant(queries), tf.constant(keys), 0.07)
    np.testing.assert_allclose(found, slow_patch_nce(queries, keys, 0.07), rtol=1e-9)


def test_patch_nce_of_equal_keys_is_the_logarithm_of_their_number() -> None:
    keys = np.repeat(unit(0, (2, 1, 5)), 9, axis=1)
    found = losses.patch_nce(tf.constant(unit(1, (2, 9, 5))), tf.constant(keys), 0.07)
    np.testing.assert_allclose(found, np.log(9), rtol=1e-9)


def test_the_contrast_is_taken_at_the_same_places_of_both_images() -> None:
    keras.utils.set_random_seed(0)
    network = CUT(IMAGE, CONFIG, 3)
    source, fake = network.encoder(images(0)), network.encoder(images(1))
    found = float(network.contrast(source, fake))
    assert [f.shape[1:] for f in source] == [
        (24, 16, 1), (24, 16, 4), (12, 8, 8), (12, 8, 8), (12, 8, 8)
    ]  # fmt: skip
    places = [np.asarray(network._patch_indices(i, f)) for i, f in enumerate(source)]
    chosen = [
        [np.asarray(f).reshape(4, -1, f.shape[-1])[:, p] for f, p in zip(fs, places, strict=True)]
        for fs in (source, fake)
    ]
    keys, queries = ([np.asarray(v) for v in network.patch_heads(c)] for c in chosen)
    slow = [slow_patch_nce(q, k, 0.07) for q, k in zip(queries, keys, strict=True)]
    np.testing.assert_allclose(found, np.mean(slow), rtol=1e-4)
    assert all(len(set(p.tolist())) == 5 for p in places)
    network.step.assign_add(1)
    assert not np.array_equal(network._patch_indices(0, source[0]), places[0])


def test_no_gradient_reaches_the_keys() -> None:
    network = CUT(IMAGE, CONFIG, 0)
    real, fake = images(0), images(1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        loss = network.contrast(network.encoder(real), network.encoder(fake))
    assert tape.gradient(loss, real) is None
    assert np.abs(tape.gradient(loss, fake)).max() > 0


def test_a_step_moves_every_network_and_logs_the_contrast() -> None:
    keras.utils.set_random_seed(0)
    network = CUT(IMAGE, CONFIG, 0)
    network.compile()
    variables = network.generator_variables() + network.critic_variables()
    before = [np.array(v) for v in variables]
    logs = network.train_step((images(0), images(1)))
    assert set(logs) == {"critic", "penalty", "adversarial", "contrast"}
    assert 0 < float(logs["contrast"]) < 2 * 2 / CONFIG.nce_temperature + 2 * np.log(5)
    for old, variable in zip(before, variables, strict=True):
        if old.shape != (1,):
            assert np.abs(old - np.array(variable)).max() > 0, variable.name


@pytest.mark.parametrize("changes", [{}, {"loss": "lsgan", "nce_identity": False}])
def test_training_writes_weights_that_translate(changes: dict[str, str], tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    rng = np.random.default_rng(0)
    sem = rng.integers(0, 213, (20, 2, 24, 16), dtype=np.uint8)
    names = np.array([f"n{i}" for i in range(20)])
    simulator = SimulatorSet(1, sem, sem[:, 0], names, names)
    fab = FabSet(1, sem[::-1, 1], names, names)
    network = training.train(simulator, fab, IMAGE, config, folder=tmp_path, seed=0, kind=CUT)
    read = training.load_generator(tmp_path, IMAGE, config)
    np.testing.assert_array_equal(read(images(0)), network.to_target(images(0)))
    assert (tmp_path / "patch_heads.weights.h5").exists()
    again = CUT(IMAGE, config, 0)
    training.load(again, tmp_path)
    for saved, own in zip(again.patch_heads.weights, network.patch_heads.weights, strict=True):
        np.testing.assert_array_equal(saved, own)
