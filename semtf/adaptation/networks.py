"""The generator and the critic of the CycleGAN, as functional Keras models."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from semtf.config import AdaptationConfig, ImageConfig, Norm

LEAK = 0.2
CRITIC_GROUPS = 4
CRITIC_STRIDES = 8
BLOCK = 4


@keras.utils.register_keras_serializable(package="semtf")
class ReplicatePadding(layers.Layer):
    """Pad rows and columns with copies of the edge pixels.

    Input ``[batch, rows, columns, channels]``; output larger by ``2 · size`` in both axes.
    """

    def __init__(self, size: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        rows = [inputs[:, :1]] * self.size + [inputs] + [inputs[:, -1:]] * self.size
        padded = tf.concat(rows, axis=1)
        columns = [padded[:, :, :1]] * self.size + [padded] + [padded[:, :, -1:]] * self.size
        return tf.concat(columns, axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        assert rows is not None  # noqa: S101 - image sizes are static throughout
        assert columns is not None  # noqa: S101 - image sizes are static throughout
        return batch, rows + 2 * self.size, columns + 2 * self.size, channels

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "size": self.size}


@keras.utils.register_keras_serializable(package="semtf")
class OneChannelConv2D(layers.Conv2D):
    """A convolution to one channel, with stride 1; weights and result are those of ``Conv2D``.

    CPU kernels work on many output channels at a time and idle with one. So a block of 4×4 output
    pixels becomes 16 channels of a convolution with stride 4, whose kernel holds the given one in
    16 positions: twice the arithmetic in a quarter of the time. Rows and columns that come out
    must be multiples of 4.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        size, channels = self.kernel_size[0], inputs.shape[-1]
        if self.padding == "same":
            before, after = (size - 1) // 2, size // 2
            inputs = tf.pad(inputs, [[0, 0], [before, after], [before, after], [0, 0]])
        kernel = tf.reshape(tf.convert_to_tensor(self.kernel), [size * size, channels])
        wide = size + BLOCK - 1
        placed = tf.matmul(tf.constant(_placements(size), kernel.dtype), kernel)
        placed = tf.reshape(placed, [wide, wide, BLOCK * BLOCK, channels])
        blocks = tf.nn.conv2d(inputs, tf.transpose(placed, [0, 1, 3, 2]), BLOCK, "VALID")
        return tf.nn.depth_to_space(blocks, BLOCK) + tf.convert_to_tensor(self.bias)


def _placements(size: int) -> npt.NDArray[np.float32]:
    """Which element of a kernel lies where in a kernel of ``size + BLOCK − 1`` that is moved to
    each place of a block: 0 or 1, ``[wide · wide · BLOCK · BLOCK, size · size]``.
    """
    wide = size + BLOCK - 1
    placed = np.zeros((wide, wide, BLOCK, BLOCK, size, size), np.float32)
    row, column, i, j = np.ogrid[:BLOCK, :BLOCK, :size, :size]
    placed[row + i, column + j, row, column, i, j] = 1
    return placed.reshape(-1, size * size)


def generator(image: ImageConfig, config: AdaptationConfig, name: str) -> keras.Model:
    """A generator: ``[batch, H, W, 1]`` in [−1, 1] to the same shape and range.

    Convolution 7×7, convolution 4×4 with stride 2, residual blocks, transposed convolution 4×4
    with stride 2, convolution 7×7, tanh. H and W must be even.
    """
    inputs = keras.Input((image.height, image.width, 1))
    x = _block(inputs, config.width, 7, config)
    x = _block(x, 2 * config.width, 4, config, stride=2)
    for _ in range(config.blocks):
        x = _residual(x, config)
    x = layers.Conv2DTranspose(config.width, 4, strides=2, padding="same", use_bias=_bias(config))(
        x
    )
    x = layers.ReLU()(_normalise(x, config.norm))
    if config.padding == "replicate":
        x = ReplicatePadding(3)(x)
    x = OneChannelConv2D(1, 7, padding="same" if config.padding == "zero" else "valid")(x)
    outputs = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(inputs, outputs, name=name)


def critic(image: ImageConfig, config: AdaptationConfig, name: str) -> keras.Model:
    """A critic: ``[batch, H, W, 1]`` in [−1, 1] to one score an image, ``[batch]``.

    Three 4×4 convolutions with stride 2, then one convolution over all that is left (9×6 for
    72×48 images). One score an image keeps the gradient penalty's norm that of an image. H and W
    must be multiples of 8.
    """
    inputs = keras.Input((image.height, image.width, 1))
    x = inputs
    for level in range(3):
        x = _convolve(x, config.width * 2**level, 4, config, stride=2, bias=True)
        if level > 0:
            x = _normalise(x, config.critic_norm)
        x = layers.LeakyReLU(LEAK)(x)
        if config.dropout > 0:
            x = layers.Dropout(config.dropout)(x)
    window = (image.height // CRITIC_STRIDES, image.width // CRITIC_STRIDES)
    x = layers.Conv2D(1, window, padding="valid")(x)
    outputs = layers.Reshape((), dtype="float32")(x)
    return keras.Model(inputs, outputs, name=name)


def _bias(config: AdaptationConfig) -> bool:
    return config.norm == "none"


def _block(
    x: tf.Tensor, width: int, kernel: int, config: AdaptationConfig, stride: int = 1
) -> tf.Tensor:
    x = _convolve(x, width, kernel, config, stride=stride, bias=_bias(config))
    return layers.ReLU()(_normalise(x, config.norm))


def _residual(x: tf.Tensor, config: AdaptationConfig) -> tf.Tensor:
    width = x.shape[-1]
    y = _block(x, width, 3, config)
    y = _normalise(_convolve(y, width, 3, config, bias=_bias(config)), config.norm)
    return layers.Add()([x, y])


def _convolve(
    x: tf.Tensor, width: int, kernel: int, config: AdaptationConfig, bias: bool, stride: int = 1
) -> tf.Tensor:
    if config.padding == "zero":
        return layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=bias)(x)
    x = ReplicatePadding((kernel - 1) // 2)(x)
    return layers.Conv2D(width, kernel, strides=stride, padding="valid", use_bias=bias)(x)


def _normalise(x: tf.Tensor, norm: Norm) -> tf.Tensor:
    if norm == "batch":
        return layers.BatchNormalization()(x)
    if norm == "instance":
        return layers.GroupNormalization(groups=-1)(x)
    if norm == "group":
        return layers.GroupNormalization(groups=CRITIC_GROUPS)(x)
    return x
