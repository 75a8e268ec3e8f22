"""The networks: the recipe's sizes counted by hand, shapes and padding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import networks
from semtf.config import AdaptationConfig, ImageConfig, preset

RECIPE = preset("challenge").adaptation
IMAGE = ImageConfig()


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_generator_of_the_recipe() -> None:
    # Convolutions before a batch normalisation have no bias; the last one has.
    first = 7 * 7 * 1 * 64 + 2 * 64
    down = 4 * 4 * 64 * 128 + 2 * 128
    residual = 2 * (3 * 3 * 128 * 128 + 2 * 128)
    up = 4 * 4 * 128 * 64 + 2 * 64
    last = 7 * 7 * 64 * 1 + 1
    expected = first + down + 2 * residual + up + last
    assert trainable(networks.generator(IMAGE, RECIPE, "g")) == expected == 859_777


def test_critic_of_the_recipe() -> None:
    first = 4 * 4 * 1 * 64 + 64
    second = 4 * 4 * 64 * 128 + 128 + 2 * 128
    third = 4 * 4 * 128 * 256 + 256 + 2 * 256
    score = 9 * 6 * 256 * 1 + 1
    model = networks.critic(IMAGE, RECIPE, "c")
    assert trainable(model) == first + second + third + score == 671_425
    assert model.layers[-2].input.shape[1:] == (9, 6, 256)


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_shapes_and_range(norm: str, padding: str) -> None:
    config = AdaptationConfig(width=4, norm=norm, critic_norm=norm, padding=padding)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 72, 48, 1)).astype(np.float32)
    translated = networks.generator(IMAGE, config, "g")(images)
    assert translated.shape == images.shape
    assert np.abs(translated).max() <= 1
    assert networks.critic(IMAGE, config, "c")(images).shape == (2,)


def test_replicate_padding_is_numpys_edge_mode() -> None:
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    padded = networks.ReplicatePadding(3)(images)
    expected = np.pad(images, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="edge")
    np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("to_one", [True, False])
def test_convolutions_of_one_channel_are_keras_own(padding: str, size: int, to_one: bool) -> None:
    before, after = (5, 1) if to_one else (1, 6)
    rows = 16 if padding == "same" else 17 + size - 1
    images = tf.random.stateless_uniform((2, rows, rows + 4, before), (0, 0), -1, 1)
    kind = networks.OneChannelConv2D if to_one else networks.FromOneChannelConv2D
    own = kind(after, size, padding=padding)
    keras_own = keras.layers.Conv2D(after, size, padding=padding)
    own.build(images.shape)
    keras_own.build(images.shape)
    keras_own.set_weights([own.get_weights()[0], np.linspace(0.3, 0.5, after)])
    own.set_weights(keras_own.get_weights())
    found = []
    for layer in (own, keras_own):
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = layer(images, training=True)
            loss = tf.reduce_sum(tf.sin(3 * result))
        found.append((result, *tape.gradient(loss, [images, *layer.trainable_variables])))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
def test_gradients_of_the_padding_are_tensorflows_own(axis: int, size: int) -> None:
    images = tf.random.stateless_uniform((2, 5, 4, 3), (0, 0), -1, 1)
    places = tf.clip_by_value(tf.range(-size, images.shape[axis] + size), 0, images.shape[axis] - 1)
    found = []
    for pad in (
        lambda x: networks.replicated(x, size, axis),
        lambda x: tf.gather(x, places, axis=axis),
    ):
        with tf.GradientTape() as outer:
            outer.watch(images)
            with tf.GradientTape() as tape:
                tape.watch(images)
                loss = tf.reduce_sum(tf.sin(3 * pad(images)))
            first = tape.gradient(loss, images)
            again = tf.reduce_sum(first**2)
        found.append((loss, first, outer.gradient(again, images)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_batch_normalisation_is_keras_own() -> None:
    images = tf.random.stateless_uniform((3, 5, 4, 6), (0, 0), -1, 4)
    found = []
    for layer in (networks.BatchNormalization(), keras.layers.BatchNormalization()):
        layer.build(images.shape)
        layer.set_weights([np.linspace(start, start + 1, 6) for start in (0.5, -1, 0, 1)])
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = layer(images, training=True)
            loss = tf.reduce_sum(tf.sin(3 * result))
        gradients = tape.gradient(loss, [images, *layer.trainable_variables])
        found.append((result, *gradients, *layer.get_weights(), layer(images)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
