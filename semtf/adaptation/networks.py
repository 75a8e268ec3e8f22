"""The generator and the critic of CycleGAN and CUT, as functional Keras models."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from semtf.adaptation.layers import (
    BatchNormalization,
    FromOneChannelConv2D,
    OneChannelConv2D,
    ReplicateConv2D,
    ReplicatePadding,
)
from semtf.backend.layers import (
    group_normalization,
    instance_normalization,
    spectral_normalization,
)
from semtf.backend.seeds import kept_randomness
from semtf.config import AdaptationConfig, CriticNorm, ImageConfig, Norm

LEAK = 0.2
CRITIC_GROUPS = 4
CRITIC_STRIDES = 8


def generator(image: ImageConfig, config: AdaptationConfig, name: str) -> keras.Model:
    """A generator: ``[batch, H, W, 1]`` in [−1, 1] to the same shape and range.

    Convolution 7×7, convolution 4×4 with stride 2, residual blocks, transposed convolution 4×4
    with stride 2, convolution 7×7, tanh. H and W must be even.
    """
    inputs = keras.Input((image.height, image.width, 1))
    x = ReplicatePadding(3)(inputs) if config.padding == "replicate" else inputs
    padding = "same" if config.padding == "zero" else "valid"
    x = FromOneChannelConv2D(config.width, 7, padding=padding, use_bias=_bias(config))(x)
    x = layers.ReLU()(_normalise(x, config.norm, config))
    x = _block(x, 2 * config.width, 4, config, stride=2)
    for _ in range(config.blocks):
        x = _residual(x, config)
    x = layers.Conv2DTranspose(config.width, 4, strides=2, padding="same", use_bias=_bias(config))(
        x
    )
    x = layers.ReLU()(_normalise(x, config.norm, config))
    if config.padding == "replicate":
        x = ReplicatePadding(3)(x)
    x = OneChannelConv2D(1, 7, padding=padding)(x)
    outputs = layers.Activation("tanh", dtype=keras.backend.floatx())(x)
    return keras.Model(inputs, outputs, name=name)


@kept_randomness()
def critic(image: ImageConfig, config: AdaptationConfig, name: str) -> keras.Model:
    """A critic: ``[batch, H, W, 1]`` in [−1, 1] to one score an image, ``[batch]``.

    Three 4×4 convolutions with stride 2, then one convolution whose kernel covers the whole
    feature map, ``H/8`` × ``W/8``. With one score an image the penalty's norm is that of the
    gradient of an image. H and W must be multiples of 8.
    """
    spectral = config.critic_norm == "spectral"
    inputs = keras.Input((image.height, image.width, 1))
    x = inputs
    for level in range(3):
        width = config.width * 2**level
        x = _convolve(x, width, 4, config, stride=2, bias=True, spectral=spectral)
        if level > 0:
            x = _normalise(x, config.critic_norm, config)
        x = layers.LeakyReLU(LEAK)(x)
        if config.dropout > 0:
            x = layers.Dropout(config.dropout)(x)
    window = (image.height // CRITIC_STRIDES, image.width // CRITIC_STRIDES)
    x = _normalised(layers.Conv2D(1, window, padding="valid"), spectral)(x)
    outputs = layers.Reshape((), dtype=keras.backend.floatx())(x)
    return keras.Model(inputs, outputs, name=name)


def _bias(config: AdaptationConfig) -> bool:
    return config.norm == "none"


def _block(
    x: tf.Tensor, width: int, kernel: int, config: AdaptationConfig, stride: int = 1
) -> tf.Tensor:
    x = _convolve(x, width, kernel, config, stride=stride, bias=_bias(config))
    return layers.ReLU()(_normalise(x, config.norm, config))


def _residual(x: tf.Tensor, config: AdaptationConfig) -> tf.Tensor:
    width = x.shape[-1]
    y = _block(x, width, 3, config)
    y = _normalise(_convolve(y, width, 3, config, bias=_bias(config)), config.norm, config)
    return layers.Add()([x, y])


def _convolve(
    x: tf.Tensor,
    width: int,
    kernel: int,
    config: AdaptationConfig,
    bias: bool,
    stride: int = 1,
    spectral: bool = False,
) -> tf.Tensor:
    options: dict[str, Any] = {"strides": stride, "use_bias": bias}
    if config.padding == "zero":
        same = layers.Conv2D(width, kernel, padding="same", **options)
        return _normalised(same, spectral)(x)
    if kernel == 3 and stride == 1:
        return ReplicateConv2D(width, kernel, padding="same", use_bias=bias)(x)
    x = ReplicatePadding((kernel - 1) // 2)(x)
    return _normalised(layers.Conv2D(width, kernel, padding="valid", **options), spectral)(x)


def _normalised(layer: keras.layers.Layer, spectral: bool) -> keras.layers.Layer:
    return spectral_normalization(layer) if spectral else layer


def _normalise(x: tf.Tensor, norm: Norm | CriticNorm, config: AdaptationConfig) -> tf.Tensor:
    if norm == "batch":
        return BatchNormalization(synchronized=config.synchronized)(x)
    if norm == "instance":
        return instance_normalization()(x)
    if norm == "group":
        return group_normalization(CRITIC_GROUPS)(x)
    return x
