"""The largest of very many values."""

import numpy as np
import tensorflow as tf

# Sizes of the blocks that are compared; one that divides the length spares a copy of the values.
BLOCKS = (32, 25, 20, 49)


def top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of long rows, by blocks: sorting out of all the values takes longer.

    The ``k`` largest values lie in the ``k`` blocks of largest maximum, so the maxima are compared
    first and then the values of those blocks only.

    Args:
        values: float32 ``[q, m]``, finite.
        k: how many, at most ``m``.

    Returns:
        Values, largest first, and their places int32, both ``[q, k]``.
    """
    length = values.shape[1]
    size = next((size for size in BLOCKS if length % size == 0), BLOCKS[0])
    if k * size * 2 > length:
        return tf.math.top_k(values, k)
    if length % size:
        values = tf.pad(values, [[0, 0], [0, -length % size]], constant_values=-np.inf)
    blocks = tf.reshape(values, [-1, values.shape[1] // size, size])
    # In the order of the places, so that the first of equal values comes first.
    block = tf.sort(tf.math.top_k(tf.reduce_max(blocks, axis=2), k, sorted=False).indices, axis=1)
    inside = tf.reshape(tf.gather(blocks, block, batch_dims=1), [-1, k * size])
    best, place = tf.math.top_k(inside, k)
    return best, tf.gather(block, place // size, batch_dims=1) * size + place % size
