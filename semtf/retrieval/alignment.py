"""Stored images brought into the frame of an image: moved by whole pixels, edges replicated.

Neighbours with the same shift are moved together, by slices, which is several times faster than
gathering every pixel from its own place.
"""

import tensorflow as tf

from semtf.retrieval.embedding import shifted, shifts


def moved(
    stored: tf.Variable, pair: tf.Tensor, shift: tf.Tensor, radius: int, shape: tuple[int, int]
) -> tf.Tensor:
    """Stored images, each moved by its shift.

    Args:
        stored: ``[n, H·W]`` of any type.
        pair: int32 ``[q, k]``, which of them.
        shift: int32 ``[q, k, 2]``, (rows, columns) in pixels, at most ``radius``.
        radius: largest shift.
        shape: ``(H, W)``.

    Returns:
        ``[q, k, H, W]``, of the type of ``stored``.
    """
    number = tf.reshape(shift_number(shift, radius), [-1])
    flat = tf.reshape(pair, [-1])
    places, parts = [], []
    for i, move in enumerate(shifts(radius)):
        place = tf.cast(tf.where(number == i)[:, 0], tf.int32)
        images = tf.reshape(tf.gather(stored, tf.gather(flat, place)), [-1, *shape])
        places.append(place)
        parts.append(shifted(images, tuple(move)))
    images = tf.dynamic_stitch(places, parts)
    return tf.reshape(images, [-1, pair.shape[1], *shape])


def blended(
    stored: tf.Variable,
    pair: tf.Tensor,
    shift: tf.Tensor,
    weights: tf.Tensor,
    radius: int,
    shape: tuple[int, int],
) -> tf.Tensor:
    """The weighted sum of moved images, float32 ``[q, H, W]``: ``Σ_k w_k · moved_k``.

    The images of one shift are summed before they are moved. Arguments as in `moved`, and
    ``weights`` float32 ``[q, k]``.
    """
    moves = shifts(radius)
    images = tf.cast(tf.gather(stored, pair), tf.float32)
    chosen = tf.one_hot(shift_number(shift, radius), len(moves), axis=1) * weights[:, None, :]
    sums = tf.reshape(tf.matmul(chosen, images), [-1, len(moves), *shape])
    return tf.add_n([shifted(sums[:, i], tuple(move)) for i, move in enumerate(moves)])


def shift_number(shift: tf.Tensor, radius: int) -> tf.Tensor:
    """The place of shifts ``[…, 2]`` in `shifts`, int32 ``[…]``."""
    row, column = tf.unstack(shift + radius, axis=-1)
    return row * (2 * radius + 1) + column
