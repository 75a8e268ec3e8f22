"""Folded normalisation beside the network it was folded from."""

import keras
import numpy as np
import pytest

from semtf.classification.batchnorm_folding import folded
from semtf.classification.classifier import NETWORKS
from semtf.config import ImageConfig

SIZE = ImageConfig().shape


def drawn(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with normalisation that is not the identity."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.weights:
                around = 1.0 if any(part in weight.name for part in ("gamma", "variance")) else 0.0
                weight.assign(around + generator.uniform(-0.3, 0.3, weight.shape))
    return model


@pytest.mark.parametrize("network", NETWORKS)
def test_folded_networks_give_the_same_logits(network: str) -> None:
    model = drawn(NETWORKS[network](SIZE, 4))
    images = np.random.default_rng(1).uniform(-1, 1, (3, *SIZE, 1)).astype(np.float32)
    expected = model(images, training=False).numpy()
    found = folded(model)(images, training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 0


def test_no_normalisation_is_left_in_efficientnet() -> None:
    left = [
        layer.name
        for layer in folded(NETWORKS["efficientnet_b0"](SIZE, 4)).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert left == []


def test_normalisation_that_others_need_unfolded_stays() -> None:
    inputs = keras.Input((8, 8, 2))
    shared = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="shared")(inputs)
    normal = keras.layers.BatchNormalization(name="normal")(shared)
    curved = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(normal)
    last = keras.layers.BatchNormalization(scale=False, center=False, name="last")(curved)
    model = drawn(keras.Model(inputs, keras.layers.Add()([shared, last])))
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype(np.float32)
    copy = folded(model)
    kept = (copy.get_layer(name) for name in ("normal", "last"))
    assert all(isinstance(layer, keras.layers.BatchNormalization) for layer in kept)
    np.testing.assert_allclose(copy(images), model(images, training=False), rtol=1e-4, atol=1e-4)
