"""The layers and their gradients beside Keras' and TensorFlow's own."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import layers, winograd
from semtf.backend.installed import is_classic


def test_replicate_padding_is_numpys_edge_mode() -> None:
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    padded = layers.ReplicatePadding(3)(images)
    expected = np.pad(images, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="edge")
    np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("to_one", [True, False])
def test_convolutions_of_one_channel_are_keras_own(padding: str, size: int, to_one: bool) -> None:
    before, after = (5, 1) if to_one else (1, 6)
    rows = 16 if padding == "same" else 17 + size - 1
    images = tf.random.stateless_uniform((2, rows, rows + 4, before), (0, 0), -1, 1)
    kind = layers.OneChannelConv2D if to_one else layers.FromOneChannelConv2D
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


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_of_the_padding_are_tensorflows_own(size: int) -> None:
    images = tf.random.stateless_uniform((2, 5, 4, 3), (0, 0), -1, 1)

    def slowly(images: tf.Tensor) -> tf.Tensor:
        for axis in (1, 2):
            last = images.shape[axis] - 1
            places = tf.clip_by_value(tf.range(-size, last + 1 + size), 0, last)
            images = tf.gather(images, places, axis=axis)
        return images

    found = []
    for pad in (lambda images: layers.replicated(images, size, training=True), slowly):
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
    # TensorFlow's own operation, which Keras 2 takes, divides the variance by one less.
    options = {"fused": False} if is_classic() else {}
    for layer in (layers.BatchNormalization(), keras.layers.BatchNormalization(**options)):
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


@pytest.mark.parametrize("batch", [3, 16])
@pytest.mark.parametrize("sides", [(4, 4), (12, 8), (32, 20), (40, 24)])
def test_winograds_convolution_is_tensorflows_own(batch: int, sides: tuple[int, int]) -> None:
    images, kernel = uniform(batch, *sides, 5), uniform(3, 3, 5, 7)

    def slowly(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
        return tf.nn.conv2d(padded, kernel, 1, "VALID")

    found = [derived(function, images, kernel) for function in (winograd.convolved, slowly)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def test_winograds_convolution_of_an_unknown_number_of_images() -> None:
    images, kernel = uniform(5, 8, 4, 2), uniform(3, 3, 2, 3)
    signature = [tf.TensorSpec([None, 8, 4, 2]), tf.TensorSpec([3, 3, 2, 3])]
    traced = tf.function(
        lambda *inputs: derived(winograd.convolved, *inputs), input_signature=signature
    )
    for one, other in zip(
        traced(images, kernel), derived(winograd.convolved, images, kernel), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [8, 6])
@pytest.mark.parametrize("channels", [winograd.LEAST_CHANNELS, 3])
def test_replicate_convolution_is_that_of_padded_images(rows: int, channels: int) -> None:
    images = uniform(2, rows, 4, channels)
    layer = layers.ReplicateConv2D(channels, 3, padding="same")
    layer.build(images.shape)
    layer.set_weights([uniform(3, 3, channels, channels), uniform(channels)])
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    expected = tf.nn.conv2d(padded, layer.kernel, 1, "VALID") + layer.bias
    assert layer.compute_output_shape(images.shape) == expected.shape
    for training in (True, False):
        found = layer(images, training=training)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="for CPUs")
@pytest.mark.parametrize("training", [True, False])
def test_winograds_algorithm_is_for_training_only(training: bool) -> None:
    layer = layers.ReplicateConv2D(winograd.LEAST_CHANNELS, 3, padding="same")
    images = tf.zeros((2, 8, 4, winograd.LEAST_CHANNELS))
    traced = tf.function(lambda: layer(images, training=training)).get_concrete_function()
    kinds = {operation.type for operation in traced.graph.get_operations()}
    assert ("Conv2D" in kinds) == (not training)


def uniform(*shape: int) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, (0, 0), -1, 1)


def derived(function: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> list[tf.Tensor]:
    """A function's value, and the gradients of a scalar computed from it."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
        loss = tf.reduce_sum(tf.sin(3 * value))
    return [value, *tape.gradient(loss, inputs)]
