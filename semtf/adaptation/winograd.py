"""3×3 convolutions by Winograd's minimal filtering, F(4×4, 3×3) of Lavin and Gray (2016).

A tile of 4×4 pixels of the result needs 36 multiplications a pair of channels instead of 144:

    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A

with the kernel g, the 6×6 pixels d under the tile, and fixed matrices A, B and G. The product ⊙
is summed over channels, which makes it one matrix product for each of the 36 places. Rows and
columns are transformed at once, by the Kronecker product of a matrix with itself. Images are
padded with copies of their edge pixels.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

TILE, PATCH = 4, 6
GROUP = 8
LEAST_CHANNELS = 64
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
    """Whether `convolved` can do it, and faster than the library: on a CPU, with many channels."""
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
        of_images, of_weights = tf.map_fn(
            lambda group: _gradients(group[0], group[1], weights),
            (_grouped(images), _grouped(upstream)),
            fn_output_signature=(images.dtype, kernel.dtype),
        )
        of_kernel = _transformed(KERNEL.T, tf.reduce_sum(of_weights, 0))
        return tf.reshape(of_images, tf.shape(images)), tf.reshape(of_kernel, kernel.shape)

    result = tf.map_fn(lambda group: _convolved(group, weights), _grouped(images))
    return tf.reshape(result, [-1, *images.shape[1:3], results]), gradient


def _grouped(images: tf.Tensor) -> tf.Tensor:
    """``[groups, images, …]``: few images at a time, which stay in the processor's cache.

    One group where the number of images is not known beforehand.
    """
    batch = images.shape[0]
    size = math.gcd(batch, GROUP) if batch else tf.shape(images)[0]
    return tf.reshape(images, [-1, size, *images.shape[1:]])


def _convolved(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    rows, columns = images.shape[1:3]
    results = _transformed(OUTPUT, tf.matmul(_patches(images), weights))
    return _joined(results, rows, columns, weights.shape[2])


def _gradients(
    images: tf.Tensor, upstream: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the images, and of the transformed kernel.

    The patches are made anew: kept from the forward pass they would take 2¼ times the memory of
    the images.
    """
    results = _transformed(OUTPUT.T, _taken(upstream, TILE))
    results = tf.reshape(results, [PATCH**2, -1, weights.shape[2]])
    of_patches = _transformed(INPUT.T, tf.matmul(results, weights, transpose_b=True))
    of_weights = tf.matmul(_patches(images), results, transpose_a=True)
    return _overlapped(of_patches, *images.shape[1:]), of_weights


def _transformed(matrix: Matrix, values: tf.Tensor) -> tf.Tensor:
    return tf.matmul(matrix, tf.reshape(values, [matrix.shape[1], -1]))


def _patches(images: tf.Tensor) -> tf.Tensor:
    """The transformed pixels under each tile, ``[36, tiles of all images, channels]``."""
    values = _transformed(INPUT, _taken(images, PATCH))
    return tf.reshape(values, [PATCH**2, -1, images.shape[3]])


def _taken(images: tf.Tensor, side: int) -> tf.Tensor:
    """The ``side``×``side`` pixels around each tile, ``[side², images, tiles, channels]``."""
    rows, columns, channels = images.shape[1:]
    starts = tf.range(tf.shape(images)[0])[:, None] * (rows * columns)
    places = starts + _places(rows, columns, side)[:, None]
    return tf.gather(tf.reshape(images, [-1, channels]), places)


def _places(rows: int, columns: int, side: int) -> npt.NDArray[np.int32]:
    """Where in an image these pixels are, ``[side², tiles]``; the nearest of those inside."""
    before = (side - TILE) // 2
    row, column = (
        np.clip(np.arange(0, size, TILE) + np.arange(-before, side - before)[:, None], 0, size - 1)
        for size in (rows, columns)
    )
    places = row[:, None, :, None] * columns + column[:, None]
    return places.reshape(side**2, -1).astype(np.int32)


def _joined(tiles: tf.Tensor, rows: int, columns: int, channels: int) -> tf.Tensor:
    """Images ``[images, rows, columns, channels]`` of 4×4 tiles: what `_taken` made, undone."""
    tiles = tf.reshape(tiles, [-1, channels])
    count = rows * columns // TILE**2
    places = np.argsort(_places(rows, columns, TILE), axis=None).reshape(rows, columns)
    place, tile = np.divmod(places.astype(np.int32), count)
    batch = tf.shape(tiles)[0] // (rows * columns)
    image = tf.range(batch)[:, None, None]
    return tf.gather(tiles, (place * batch + image) * count + tile)


def _overlapped(patches: tf.Tensor, rows: int, columns: int, channels: int) -> tf.Tensor:
    """Images of overlapping patches ``[36, images · tiles · channels]``, summed."""
    sides = [PATCH, PATCH, -1, rows // TILE, columns // TILE, channels]
    tiles = _narrowed(_narrowed(tf.reshape(patches, sides), 0, 2), 1, 3)
    return _joined(tiles, rows, columns, channels)


def _narrowed(patches: tf.Tensor, places: int, tiles: int) -> tf.Tensor:
    """Patches without their border of one pixel along the axis ``places``.

    The border is added to the neighbouring tiles along ``tiles`` (an axis without ``places``); at
    the image's edge, of which it is a copy, to the tile's own edge.
    """
    before, first, second, third, last, after = tf.unstack(patches, axis=places)
    count = before.shape[tiles]
    edge, above = tf.split(before, [1, count - 1], tiles)
    below, end = tf.split(after, [count - 1, 1], tiles)
    first += tf.concat([edge, below], tiles)
    last += tf.concat([above, end], tiles)
    return tf.stack([first, second, third, last], places)
