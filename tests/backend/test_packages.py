"""The eight packages that semtf is named to be built on, in one process, each used."""

import importlib.util

import click
import keras
import keras_cv
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from semtf.backend.quiet import imported

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 8, 6, 2)).astype(np.float32)


def addons_mean(images: np.ndarray) -> np.ndarray:
    """Means of normalised channels, by TensorFlow Addons."""
    tfa = imported("tensorflow_addons")
    return tf.reduce_mean(tfa.layers.InstanceNormalization()(images), axis=[1, 2]).numpy()


def keras_mean(images: np.ndarray) -> np.ndarray:
    """The same by Keras."""
    layer = keras.layers.GroupNormalization(groups=-1)
    return tf.reduce_mean(layer(images), axis=[1, 2]).numpy()


def used_together(mean: np.ndarray) -> str:
    """What the other seven packages make of the means: a line that a command prints."""
    scann = pytest.importorskip("scann.scann_ops.py.scann_ops", reason="ScaNN is for Linux")
    mixed = keras_cv.layers.RandomFlip()(IMAGES, training=False)
    vectors = np.reshape(mixed, (3, -1))
    searcher = scann.builder(vectors, 1, "squared_l2").score_brute_force().build()
    nearest, _ = searcher.search_batched(vectors)
    table = pd.DataFrame({"nearest": nearest.numpy()[:, 0], "mean": np.abs(mean).max(axis=1)})

    @click.command()
    def show() -> None:
        click.echo(" ".join(f"{row.nearest}:{row.mean:.3f}" for row in table.itertuples()))

    return CliRunner().invoke(show).output.strip()


def test_seven_packages_work_in_one_process() -> None:
    assert used_together(keras_mean(IMAGES)) == "0:0.000 1:0.000 2:0.000"


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_addons") is None,
    reason="TensorFlow Addons does not import beside Keras 3: it is in the classic set alone",
)
def test_eight_packages_work_in_one_process() -> None:
    mean = addons_mean(IMAGES)
    np.testing.assert_allclose(mean, keras_mean(IMAGES), atol=1e-5)
    assert used_together(mean) == "0:0.000 1:0.000 2:0.000"
