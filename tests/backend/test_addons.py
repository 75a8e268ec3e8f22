"""What TensorFlow Addons computes in the classic set is what Keras and semtf compute in the other.

Both sets are compared with the same stored figures, which the current set wrote.
"""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import networks
from semtf.backend import installed, layers, metrics, optimizers
from semtf.backend.seeds import seed_initial_weights
from semtf.checkpoint import save_weights
from semtf.config import AdaptationConfig, ImageConfig
from tests.backend.addons_figures import FIGURES, STORED

ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
IMAGE = ImageConfig(16, 16)


@pytest.mark.parametrize("name", FIGURES)
def test_both_sets_give_the_stored_figures(name: str) -> None:
    figures = FIGURES[name]()
    with np.load(STORED) as stored:
        names = {key.partition("/")[2] for key in stored.files if key.startswith(f"{name}/")}
        assert names == figures.keys()
        for part, value in figures.items():
            expected = stored[f"{name}/{part}"]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5, err_msg=part)


def test_addons_serve_where_they_are_installed() -> None:
    convolution = keras.layers.Conv2D(1, 1)
    made = [
        layers.instance_normalization(),
        layers.group_normalization(4),
        layers.spectral_normalization(convolution),
        optimizers.adamw(1e-3, 1e-2),
    ]
    bases = [{base.__module__.partition(".")[0] for base in type(x).__mro__} for x in made]
    assert [("tensorflow_addons" in modules) for modules in bases] == [ADDONS] * len(made)
    assert installed.is_classic() == ADDONS


def test_kappa_of_one_class_is_unknown() -> None:
    assert metrics.cohen_kappa(np.zeros(3, int), np.zeros(3, int), 4) is None


@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_the_critics_kernels_are_divided_by_their_singular_values(padding: str) -> None:
    config = AdaptationConfig(width=4, critic_norm="spectral", padding=padding)
    seed_initial_weights(0)
    model = networks.critic(IMAGE, config, "critic")
    images = np.random.default_rng(0).uniform(-1, 1, (2, *IMAGE.shape, 1)).astype(np.float32)
    for _ in range(100):
        model(images, training=True)
    kernels = [v for v in model.trainable_variables if len(v.shape) == 4]
    assert len(kernels) == 4
    for kernel in kernels:
        values = np.linalg.svd(np.reshape(np.asarray(kernel), (-1, kernel.shape[-1])))[1]
        assert values[0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("norm", ["instance", "group", "spectral"])
def test_weights_of_the_norms_are_written_and_read(norm: str, tmp_path: Path) -> None:
    """Into another model, whose layers have other names."""
    config = AdaptationConfig(width=4, critic_norm=norm)
    model, other = (networks.critic(IMAGE, config, f"critic_{i}") for i in range(2))
    images = tf.random.stateless_uniform([2, *IMAGE.shape, 1], [0, 1])
    model(images, training=True)
    save_weights(model, tmp_path / "critic.weights.h5")
    other.load_weights(tmp_path / "critic.weights.h5")
    np.testing.assert_allclose(other(images), model(images), rtol=1e-6)
    vectors = [v for v in model.weights if tuple(v.shape[:1]) == (1,) and len(v.shape) == 2]
    assert len(vectors) == 4 * (norm == "spectral")
    for mine, its in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(its))
