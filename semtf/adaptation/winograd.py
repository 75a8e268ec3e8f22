"""3×3 convolutions by Winograd's minimal filtering, F(4×4, 3×3) of Lavin and Gray (2016).

A tile of 4×4 pixels of the result needs 36 multiplications a pair of channels instead of 144:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

with the kernel g, the 6×6 pixels d under the tile, and fixed matrices A, B and G. The product ⊙
is summed over channels, which makes it one matrix product for each of the 36 pixels. Rows and
columns are transformed at once, by the Kronecker product of a matrix with itself. Images are
padded with copies of their edge pixels.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

TILE, PATCH = 4, 6
"""Sides of a tile of the result, and of the patch of pixels under it."""
GROUP = 8
"""Images that are convolved at a time; the pixels of so few stay in the processor's cache."""
LEAST_CHANNELS = 64
"""Channels from which on this is faster than TensorFlow's convolution."""

Rows = list[list[float]]
Matrix = npt.NDArray[np.float32]
Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_INPUT: Rows = [  # Bᵀ
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL: Rows = [  # G
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_OUTPUT: Rows = [  # Aᵀ
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
INPUT, KERNEL, OUTPUT = (
    np.kron(matrix, matrix).astype(np.float32) for matrix in (_INPUT, _KERNEL, _OUTPUT)
)


def suits(images: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Whether `convolved` takes these images and is faster than TensorFlow's convolution.

    That is so on a CPU and with many channels.
    """
    rows, columns = images.shape[1:3]
    return (
        images.dtype == tf.float32
        and rows % TILE == columns % TILE == 0
        and min(kernel.shape[2:]) >= LEAST_CHANNELS
        and not tf.config.list_physical_devices("GPU")
    )


@tf.custom_gradient
def convolved(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """Convolve images, padded with copies of their edge pixels, with stride 1.

    Args:
        images: ``[batch, rows, columns, channels]``; rows and columns are multiples of 4.
        kernel: ``[3, 3, channels, results]``.

    Returns:
        ``[batch, rows, columns, results]``.
    """
    channels, results = kernel.shape[2:]
    weights = tf.reshape(_transformed(KERNEL, kernel), [PATCH**2, channels, results])

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image_gradient, weight_gradient = tf.map_fn(
            lambda group: _gradients(group[0], group[1], weights),
            (_grouped(images), _grouped(upstream)),
            fn_output_signature=(images.dtype, kernel.dtype),
        )
        kernel_gradient = _transformed(KERNEL.T, tf.reduce_sum(weight_gradient, 0))
        return (
            tf.reshape(image_gradient, tf.shape(images)),
            tf.reshape(kernel_gradient, kernel.shape),
        )

    result = tf.map_fn(lambda group: _convolved(group, weights), _grouped(images))
    return tf.reshape(result, [-1, *images.shape[1:3], results]), gradient


def _grouped(images: tf.Tensor) -> tf.Tensor:
    """Images in groups of up to `GROUP`, ``[groups, images, …]``.

    They are one group where the graph does not know their number.
    """
    batch = images.shape[0]
    size = math.gcd(batch, GROUP) if batch else tf.shape(images)[0]
    return tf.reshape(images, [-1, size, *images.shape[1:]])


def _convolved(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The convolution of one group with the transformed kernel ``[36, channels, results]``."""
    rows, columns = images.shape[1:3]
    results = _transformed(OUTPUT, tf.matmul(_patches(images), weights))
    return _joined(results, rows, columns, weights.shape[2])


def _gradients(
    images: tf.Tensor, upstream: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients with respect to one group of images and to the transformed kernel.

    The patches are computed again: kept from the forward pass they would take 2¼ times the memory
    of the images.
    """
    results = _transformed(OUTPUT.T, _windows(upstream, TILE))
    results = tf.reshape(results, [PATCH**2, -1, weights.shape[2]])
    patch_gradient = _transformed(INPUT.T, tf.matmul(results, weights, transpose_b=True))
    weight_gradient = tf.matmul(_patches(images), results, transpose_a=True)
    return _overlap_added(patch_gradient, *images.shape[1:]), weight_gradient


def _transformed(matrix: Matrix, values: tf.Tensor) -> tf.Tensor:
    """The product of a matrix with values whose first axes have as many elements as its rows."""
    return tf.matmul(matrix, tf.reshape(values, [matrix.shape[1], -1]))


def _patches(images: tf.Tensor) -> tf.Tensor:
    """The transformed pixels under each tile, ``[36, tiles of all images, channels]``."""
    values = _transformed(INPUT, _windows(images, PATCH))
    return tf.reshape(values, [PATCH**2, -1, images.shape[3]])


def _windows(images: tf.Tensor, side: int) -> tf.Tensor:
    """The ``side``×``side`` pixels around each tile, ``[side², images, tiles, channels]``."""
    rows, columns, channels = images.shape[1:]
    starts = tf.range(tf.shape(images)[0])[:, None] * (rows * columns)
    indices = starts + _window_indices(rows, columns, side)[:, None]
    return tf.gather(tf.reshape(images, [-1, channels]), indices)


def _window_indices(rows: int, columns: int, side: int) -> npt.NDArray[np.int32]:
    """The indices of these pixels in a flattened image, ``[side², tiles]``.

    For a pixel outside the image it is the index of the nearest pixel inside.
    """
    before = (side - TILE) // 2
    row, column = (
        np.clip(np.arange(0, size, TILE) + np.arange(-before, side - before)[:, None], 0, size - 1)
        for size in (rows, columns)
    )
    indices = row[:, None, :, None] * columns + column[:, None]
    return indices.reshape(side**2, -1).astype(np.int32)


def _joined(tiles: tf.Tensor, rows: int, columns: int, channels: int) -> tf.Tensor:
    """Images ``[images, rows, columns, channels]`` of 4×4 tiles: the inverse of `_windows`."""
    tiles = tf.reshape(tiles, [-1, channels])
    count = rows * columns // TILE**2
    order = np.argsort(_window_indices(rows, columns, TILE), axis=None).reshape(rows, columns)
    pixel, tile = np.divmod(order.astype(np.int32), count)
    batch = tf.shape(tiles)[0] // (rows * columns)
    image = tf.range(batch)[:, None, None]
    return tf.gather(tiles, (pixel * batch + image) * count + tile)


def _overlap_added(patches: tf.Tensor, rows: int, columns: int, channels: int) -> tf.Tensor:
    """Images that are sums of overlapping patches ``[36, images · tiles · channels]``."""
    shape = [PATCH, PATCH, -1, rows // TILE, columns // TILE, channels]
    narrow = _without_border(tf.reshape(patches, shape), pixel_axis=0, tile_axis=2)
    tiles = _without_border(narrow, pixel_axis=1, tile_axis=3)
    return _joined(tiles, rows, columns, channels)


def _without_border(patches: tf.Tensor, *, pixel_axis: int, tile_axis: int) -> tf.Tensor:
    """Patches without their border of one pixel along ``pixel_axis``.

    The border is added to the neighbouring tiles; at the image's edge, whose copy it is, it is
    added to the edge of the patch's own tile. ``tile_axis`` counts the axes without
    ``pixel_axis``.
    """
    before, first, second, third, last, after = tf.unstack(patches, axis=pixel_axis)
    count = before.shape[tile_axis]
    edge, above = tf.split(before, [1, count - 1], tile_axis)
    below, end = tf.split(after, [count - 1, 1], tile_axis)
    first += tf.concat([edge, below], tile_axis)
    last += tf.concat([above, end], tile_axis)
    return tf.stack([first, second, third, last], pixel_axis)
