"""Layers of the networks: the results of Keras' layers, in less time on a CPU."""

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from semtf.adaptation import winograd

BLOCK = 4
"""Side of the block of pixels that `to_one_channel` computes at once."""


@keras.utils.register_keras_serializable(package="semtf")
class ReplicatePadding(layers.Layer):
    """Pad rows and columns with copies of the edge pixels.

    Input ``[batch, rows, columns, channels]``; output larger by ``2 · size`` in both axes.
    """

    def __init__(self, size: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return replicated(inputs, self.size, training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, columns, channels = input_shape
        rows, columns = (side and side + 2 * self.size for side in (rows, columns))
        return batch, rows, columns, channels

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "size": self.size}


def replicated(images: tf.Tensor, size: int, training: bool) -> tf.Tensor:
    """Images with ``size`` copies of their edge pixels on all four sides.

    The gradient adds the gradients of the copies to those of the edges, and the gradient of that
    is this padding again. Both take fewer passes over the memory than TensorFlow's gradients of
    `tf.gather`, which scatter. They are for training only: an export holds Keras' operations
    alone, and needs no gradients.
    """

    @tf.custom_gradient
    def padded(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _replicated(images, size), folded

    @tf.custom_gradient
    def folded(upstream: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return _folded(upstream, size), padded

    return padded(images) if training else _replicated(images, size)


def _replicated(images: tf.Tensor, size: int) -> tf.Tensor:
    rows, columns, channels = images.shape[1:]
    sides = (np.clip(np.arange(-size, side + size), 0, side - 1) for side in (rows, columns))
    row, column = np.ix_(*sides)
    indices = tf.constant(row * columns + column, tf.int32)
    return tf.gather(tf.reshape(images, [-1, rows * columns, channels]), indices, axis=1)


def _folded(images: tf.Tensor, size: int) -> tf.Tensor:
    """The adjoint of `_replicated`: the border is added to the edges."""
    for axis in (1, 2):
        inside = images.shape[axis] - 2 * size - 2
        first, middle, last = tf.split(images, [size + 1, inside, size + 1], axis)
        first, last = (tf.reduce_sum(part, axis, keepdims=True) for part in (first, last))
        images = tf.concat([first, middle, last], axis)
    return images


@keras.utils.register_keras_serializable(package="semtf")
class ReplicateConv2D(layers.Conv2D):
    """A 3×3 convolution, with stride 1, of images padded with copies of their edge pixels.

    In training on a CPU it uses Winograd's algorithm where that is faster.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self.kernel)
        if training and winograd.suits(inputs, kernel):
            result = winograd.convolved(inputs, kernel)
        else:
            result = tf.nn.conv2d(replicated(inputs, 1, training), kernel, 1, "VALID")
        return _with_bias(result, self)


@keras.utils.register_keras_serializable(package="semtf")
class BatchNormalization(layers.BatchNormalization):
    """Keras' layer; in training TensorFlow's fused operation computes it, on one replica's images.

    Where it is synchronized, Keras computes it.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.synchronized or not (training and self.trainable):
            return super().call(inputs, training=training)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation's variance is a sum divided by one less than the number of values; Keras
        # divides by the number.
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

    CPU kernels compute many output channels at a time and idle with one: see `to_one_channel`.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self.kernel)
        return _with_bias(to_one_channel(_padded(inputs, self), kernel), self)


@keras.utils.register_keras_serializable(package="semtf")
class FromOneChannelConv2D(layers.Conv2D):
    """A convolution of one channel, with stride 1; weights and result are those of ``Conv2D``.

    The gradient of its input is a convolution to one channel, and computed as such.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:  # an export holds Keras' own operations only
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        return _with_bias(_from_one_channel(_padded(inputs, self), kernel), self)


def _padded(images: tf.Tensor, layer: layers.Conv2D) -> tf.Tensor:
    if layer.padding == "valid":
        return images
    size = layer.kernel_size[0]
    before, after = (size - 1) // 2, size // 2
    return tf.pad(images, [[0, 0], [before, after], [before, after], [0, 0]])


def _with_bias(images: tf.Tensor, layer: layers.Conv2D) -> tf.Tensor:
    return images + tf.convert_to_tensor(layer.bias) if layer.use_bias else images


def to_one_channel(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve to one channel, without padding, in a quarter of the time on a CPU.

    A block of 4×4 output pixels becomes 16 channels of a convolution with stride 4, whose kernel
    holds the given one in 16 positions: that is twice the arithmetic, but it uses all lanes of
    the CPU's vector units.

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
        kernel_gradient = tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
        return to_one_channel(wide, turned), kernel_gradient

    return tf.nn.conv2d(images, kernel, 1, "VALID"), gradient


def _placements(size: int) -> npt.NDArray[np.float32]:
    """The matrix of 0 and 1 from a kernel to its copies in a kernel for whole blocks.

    ``[wide · wide · BLOCK · BLOCK, size · size]``: the wide kernel, of side ``size + BLOCK − 1``,
    has a channel for each pixel of a block, in which the kernel is moved to that pixel.
    """
    wide = size + BLOCK - 1
    placed = np.zeros((wide, wide, BLOCK, BLOCK, size, size), np.float32)
    row, column, i, j = np.ogrid[:BLOCK, :BLOCK, :size, :size]
    placed[row + i, column + j, row, column, i, j] = 1
    return placed.reshape(-1, size * size)
