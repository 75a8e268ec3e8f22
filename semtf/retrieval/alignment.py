"""Images of a storage aligned with an image: moved by their shift, and summed.

Images with the same shift are summed before they are moved, by slices, which is several times
faster than gathering every pixel from where it comes from.
"""

from typing import Literal

import numpy as np
import tensorflow as tf

from semtf.config import Edges
from semtf.retrieval.projection import normalise
from semtf.retrieval.shifts import shifts


def blended(
    pixels: tf.Variable | tf.Tensor,
    pair: tf.Tensor,
    shift: tf.Tensor,
    weights: tf.Tensor,
    radius: int,
    shape: tuple[int, int],
    edges: Edges = "replicate",
) -> tf.Tensor:
    """The weighted sum of images, each moved by its shift, float32 ``[q, H, W]``.

    Args:
        pixels: the images that there are, ``[n, H·W]`` of any type.
        pair: int32 ``[q, k]``, indices of those to sum.
        shift: ``[q, k, 2]``, (rows, columns) in pixels, at most ``radius``; a fraction of a pixel
            interpolates linearly between whole shifts.
        weights: float32 ``[q, k]``.
        radius: largest shift.
        shape: ``(H, W)``.
        edges: what shifts leave at the border.
    """
    images = tf.cast(tf.gather(pixels, pair), tf.float32)
    sums = tf.matmul(shift_shares(shift, weights, radius), images)
    return moved_sum(sums, radius, shape, edges)


def shift_shares(shift: tf.Tensor, weights: tf.Tensor, radius: int) -> tf.Tensor:
    """How much of each image the sum of each whole shift takes, float32 ``[q, S, k]``.

    Arguments as in `blended`.
    """
    moves = shifts(radius)[:, None].astype(np.float32)
    distance = tf.abs(tf.cast(shift, tf.float32)[:, None] - moves)
    return tf.reduce_prod(tf.maximum(1.0 - distance, 0.0), axis=-1) * weights[:, None]


def moved_sum(
    sums: tf.Tensor, radius: int, shape: tuple[int, int], edges: Edges = "replicate"
) -> tf.Tensor:
    """The sum of images ``[q, S, H·W]``, one for each shift, each moved by its shift.

    The images are moved along the rows first, then along the columns, so that few operations move
    many images.

    Returns:
        ``[q, H, W]``.
    """
    side, (height, width) = 2 * radius + 1, shape
    sums = _padded(tf.reshape(sums, [-1, side, side, height, width]), radius, 3, edges)
    sums = tf.add_n([sums[:, i, :, side - 1 - i : side - 1 - i + height] for i in range(side)])
    sums = _padded(sums, radius, 3, edges)
    return tf.add_n([sums[:, i, :, side - 1 - i : side - 1 - i + width] for i in range(side)])


def _padded(images: tf.Tensor, radius: int, axis: int, edges: Edges) -> tf.Tensor:
    """Images with what shifts bring in beyond both ends of an axis."""
    positions = np.arange(-radius, images.shape[axis] + radius)
    mode: Literal["wrap", "clip"] = "wrap" if edges == "wrap" else "clip"
    inside = np.take(np.arange(images.shape[axis]), positions, mode=mode)
    ends = inside[:radius], inside[inside.size - radius :]
    before, after = (tf.gather(images, part, axis=axis) for part in ends)
    return tf.concat([before, images, after], axis=axis)


def hole_centre(images: tf.Tensor) -> tf.Tensor:
    """Centroid of the hole, float32 ``[n, 2]`` (rows, columns) from the centre of the image.

    The hole is where a normalised image ``[n, H, W]`` is below its mean: half of the image is
    plate, so the mean lies half-way between plate and floor.
    """
    hole = tf.cast(images < 0.0, tf.float32)
    area = tf.reduce_sum(hole, axis=[1, 2])
    centres = []
    for axis in (1, 2):
        size = images.shape[axis]
        position = tf.range(size, dtype=tf.float32) - (size - 1) / 2
        profile = tf.reduce_sum(hole, axis=3 - axis)
        centres.append(tf.math.divide_no_nan(tf.linalg.matvec(profile, position), area))
    return tf.stack(centres, axis=1)


def centred(images: tf.Tensor, radius: int) -> tf.Tensor:
    """Normalised images ``[n, H, W]`` moved so that the hole is in the middle, normalised again.

    Fractions of a pixel are interpolated; a hole is moved by at most ``radius``.
    """
    shape = (images.shape[1], images.shape[2])
    flat = tf.reshape(images, [-1, shape[0] * shape[1]])
    shift = -tf.clip_by_value(hole_centre(images), -float(radius), float(radius))
    pair = tf.range(tf.shape(flat)[0])[:, None]
    weights = tf.ones_like(shift[:, :1])
    return normalise(blended(flat, pair, shift[:, None], weights, radius, shape))


def shift_index(shift: tf.Tensor, radius: int) -> tf.Tensor:
    """The index of shifts ``[…, 2]`` in `shifts`, int32 ``[…]``."""
    row, column = tf.unstack(shift + radius, axis=-1)
    return row * (2 * radius + 1) + column


def peak(cosine: tf.Tensor, radius: int) -> tf.Tensor:
    """Where between whole shifts the similarity is largest, from parabolas along rows and columns.

    Args:
        cosine: float32 ``[q, k, S]``, in the order of `shifts`.
        radius: largest shift.

    Returns:
        float32 ``[q, k, 2]``, pixels (rows, columns) from the best whole shift, at most 0.5;
        0 along a direction in which the best shift is the last one.
    """
    side = 2 * radius + 1
    table = tf.pad(tf.reshape(cosine, [-1, side, side]), [[0, 0], [1, 1], [1, 1]])
    best = tf.argmax(cosine, axis=2, output_type=tf.int32)
    row, column = (tf.reshape(part, [-1]) for part in (best // side, best % side))
    fractions = []
    for position, step in ((row, (1, 0)), (column, (0, 1))):
        before, at_best, after = (
            tf.gather_nd(
                table,
                tf.stack([row + 1 + i * step[0], column + 1 + i * step[1]], axis=1),
                batch_dims=1,
            )
            for i in (-1, 0, 1)
        )
        fraction = 0.5 * tf.math.divide_no_nan(before - after, before - 2.0 * at_best + after)
        inside = (position > 0) & (position < side - 1)
        fractions.append(tf.where(inside, tf.clip_by_value(fraction, -0.5, 0.5), 0.0))
    return tf.reshape(tf.stack(fractions, axis=1), [-1, cosine.shape[1], 2])
