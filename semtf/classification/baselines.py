"""Light classifiers beside EfficientNet-B0: a small ConvNet, and pixel statistics."""

from typing import Any

import keras
import tensorflow as tf

from semtf.backend.seeds import kept_randomness

PERCENTILES = (1, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 99)


@kept_randomness()
def small_convnet(
    shape: tuple[int, int],
    outputs: int,
    *,
    dropout: float = 0.0,
    momentum: float = 0.9,
    synchronized: bool = False,
) -> keras.Model:
    """Four strided convolutions with batch normalisation, pooled to one linear head.

    Args:
        shape: height and width of the images, in pixels.
        outputs: number of logits.
        dropout: rate before the head.
        momentum: of the moving statistics of batch normalisation.
        synchronized: take the statistics of all replicas' images in batch normalisation.

    Returns:
        A model from float32 ``[batch, height, width, 1]`` to float32 logits ``[batch, outputs]``.
    """
    x = inputs = keras.Input((*shape, 1), name="image")
    for stage, filters in enumerate((16, 32, 64, 128)):
        x = keras.layers.Conv2D(
            filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{stage}"
        )(x)
        x = keras.layers.BatchNormalization(
            momentum=momentum, synchronized=synchronized, name=f"bn{stage}"
        )(x)
        x = keras.layers.Activation("relu", name=f"relu{stage}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="small")


def logistic_regression(
    shape: tuple[int, int], outputs: int, *, momentum: float = 0.9, synchronized: bool = False
) -> keras.Model:
    """Multinomial logistic regression on standardised pixel statistics.

    Args:
        shape: height and width of the images, in pixels.
        outputs: number of logits.
        momentum: of the moving mean and variance that standardise the statistics.
        synchronized: take mean and variance of all replicas' images in training.

    Returns:
        A model from float32 ``[batch, height, width, 1]`` to float32 logits ``[batch, outputs]``.
    """
    inputs = keras.Input((*shape, 1), name="image")
    x = PixelStatistics(name="statistics")(inputs)
    x = keras.layers.BatchNormalization(
        momentum=momentum, synchronized=synchronized, name="standardise"
    )(x)
    logits = keras.layers.Dense(outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="statistics")


class PixelStatistics(keras.layers.Layer):
    """Percentiles, mean, standard deviation and mean absolute gradients of each image.

    Input ``[batch, height, width, 1]``, output float32 ``[batch, 19]``.
    """

    def call(self, images: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images[..., 0], tf.float32)
        pixels = tf.reshape(images, [-1, images.shape[1] * images.shape[2]])
        ranks = [round(p / 100 * (pixels.shape[1] - 1)) for p in PERCENTILES]
        levels = tf.gather(tf.sort(pixels, axis=1), ranks, axis=1)
        moments = [
            tf.reduce_mean(pixels, axis=1),
            tf.math.reduce_std(pixels, axis=1),
            tf.reduce_mean(tf.abs(images[:, 1:] - images[:, :-1]), axis=[1, 2]),
            tf.reduce_mean(tf.abs(images[:, :, 1:] - images[:, :, :-1]), axis=[1, 2]),
        ]
        return tf.concat([levels, tf.stack(moments, axis=1)], axis=1)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, int]:
        return input_shape[0], len(PERCENTILES) + 4
