"""The generator and the critic of the CycleGAN, as functional Keras models."""

from collections.abc import Callable

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

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        # An export holds Keras' own operations only, and has no gradients.
        pad = replicated if training else _replicated
        return pad(pad(inputs, self.size, 1), self.size, 2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        rows, columns = (side and side + 2 * self.size for side in (rows, columns))
        return batch, rows, columns, channels

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "size": self.size}


def replicated(images: tf.Tensor, size: int, axis: int) -> tf.Tensor:
    """Images with copies of the first and the last row (axis 1) or column (axis 2) around them.

    The gradient adds what reached the copies to the edges; TensorFlow's own would make an array
    of the full size for each of them.
    """

    @tf.custom_gradient
    def padded(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        side = images.shape[axis]

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            first, middle, last = tf.split(upstream, [size + 1, side - 2, size + 1], axis)
            first, last = (tf.reduce_sum(part, axis, keepdims=True) for part in (first, last))
            return tf.concat([first, middle, last], axis)

        return _replicated(images, size, axis), gradient

    return padded(images)


def _replicated(images: tf.Tensor, size: int, axis: int) -> tf.Tensor:
    side = images.shape[axis]
    first, last = (tf.gather(images, [place], axis=axis) for place in (0, side - 1))
    return tf.concat([first] * size + [images] + [last] * size, axis)


@keras.utils.register_keras_serializable(package="semtf")
class BatchNormalization(layers.BatchNormalization):
    """Keras' layer, in training computed by TensorFlow's fused operation."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation divides by one less than the number of values, Keras by the number.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * (count - 1) / count),
        ):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


@keras.utils.register_keras_serializable(package="semtf")
class OneChannelConv2D(layers.Conv2D):
    """A convolution to one channel, with stride 1; weights and result are those of ``Conv2D``.

    CPU kernels work on many output channels at a time and idle with one: see `to_one_channel`.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self.kernel)
        return to_one_channel(_padded(inputs, self), kernel) + tf.convert_to_tensor(self.bias)


@keras.utils.register_keras_serializable(package="semtf")
class FromOneChannelConv2D(layers.Conv2D):
    """A convolution of one channel, with stride 1; weights and result are those of ``Conv2D``.

    The gradient of its input is a convolution to one channel, and computed as such.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:  # an export holds Keras' own operations only
            return super().call(inputs)
        result = _from_one_channel(_padded(inputs, self), tf.convert_to_tensor(self.kernel))
        return result + tf.convert_to_tensor(self.bias) if self.use_bias else result


def _padded(images: tf.Tensor, layer: layers.Conv2D) -> tf.Tensor:
    if layer.padding == "valid":
        return images
    size = layer.kernel_size[0]
    before, after = (size - 1) // 2, size // 2
    return tf.pad(images, [[0, 0], [before, after], [before, after], [0, 0]])


def to_one_channel(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve to one channel, without padding, in a quarter of the time on a CPU.

    A block of 4×4 output pixels becomes 16 channels of a convolution with stride 4, whose kernel
    holds the given one in 16 positions: twice the arithmetic, but all lanes of the CPU at work.

    Args:
        images: ``[batch, rows, columns, channels]``.
        kernel: ``[size, size, channels, 1]``.
    """
    size, channels = kernel.shape[0], kernel.shape[2]
    rows, columns = (images.shape[axis] - size + 1 for axis in (1, 2))
    images = tf.pad(images, [[0, 0], [0, -rows % BLOCK], [0, -columns % BLOCK], [0, 0]])
    wide = size + BLOCK - 1
    flat = tf.reshape(kernel, [size * size, channels])
    placed = tf.matmul(tf.constant(_placements(size), kernel.dtype), flat)
    placed = tf.reshape(placed, [wide, wide, BLOCK * BLOCK, channels])
    blocks = tf.nn.conv2d(images, tf.transpose(placed, [0, 1, 3, 2]), BLOCK, "VALID")
    return tf.nn.depth_to_space(blocks, BLOCK)[:, :rows, :columns]


@tf.custom_gradient
def _from_one_channel(
    images: tf.Tensor, kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Convolve ``[batch, rows, columns, 1]`` with ``[size, size, 1, channels]``, not padded."""
    border = kernel.shape[0] - 1

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wide = tf.pad(upstream, [[0, 0], [border, border], [border, border], [0, 0]])
        turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
        return to_one_channel(wide, turned), of_kernel

    return tf.nn.conv2d(images, kernel, 1, "VALID"), gradient


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
    x = ReplicatePadding(3)(inputs) if config.padding == "replicate" else inputs
    padding = "same" if config.padding == "zero" else "valid"
    x = FromOneChannelConv2D(config.width, 7, padding=padding, use_bias=_bias(config))(x)
    x = layers.ReLU()(_normalise(x, config.norm))
    x = _block(x, 2 * config.width, 4, config, stride=2)
    for _ in range(config.blocks):
        x = _residual(x, config)
    x = layers.Conv2DTranspose(config.width, 4, strides=2, padding="same", use_bias=_bias(config))(
        x
    )
    x = layers.ReLU()(_normalise(x, config.norm))
    if config.padding == "replicate":
        x = ReplicatePadding(3)(x)
    x = OneChannelConv2D(1, 7, padding=padding)(x)
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
        return BatchNormalization()(x)
    if norm == "instance":
        return layers.GroupNormalization(groups=-1)(x)
    if norm == "group":
        return layers.GroupNormalization(groups=CRITIC_GROUPS)(x)
    return x
