"""The largest of very many values, and the first of each of several groups."""

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
        Values, largest first, and their indices int32, both ``[q, k]``.
    """
    length = values.shape[1]
    size = next((size for size in BLOCKS if length % size == 0), BLOCKS[0])
    if k * size * 2 > length:
        return tf.math.top_k(values, k)
    if length % size:
        values = tf.pad(values, [[0, 0], [0, -length % size]], constant_values=-np.inf)
    blocks = tf.reshape(values, [-1, values.shape[1] // size, size])
    # Blocks in the order of the values, so that the first of equal values comes first.
    block = tf.sort(tf.math.top_k(tf.reduce_max(blocks, axis=2), k, sorted=False).indices, axis=1)
    candidates = tf.reshape(tf.gather(blocks, block, batch_dims=1), [-1, k * size])
    best, index = tf.math.top_k(candidates, k)
    return best, tf.gather(block, index // size, batch_dims=1) * size + index % size


def first_of_groups(group: tf.Tensor, value: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the first ``k`` different groups of each row occur first.

    Args:
        group: int32 ``[q, m]``, best first, with repetitions.
        value: float32 ``[q, m]``; -inf marks an entry that belongs to no group.
        k: different groups wanted, at most ``m``.

    Returns:
        Indices int32 ``[q, k]`` into a row, and bool ``[q, k]``: False, beside the index 0, where
        a row has fewer groups.
    """
    order = tf.argsort(group, axis=1, stable=True)
    ordered = tf.gather(group, order, batch_dims=1)
    first = tf.concat([tf.ones_like(ordered[:, :1], tf.bool), ordered[:, 1:] != ordered[:, :-1]], 1)
    first &= tf.gather(value, order, batch_dims=1) > -np.inf
    # Indices of first occurrences are negated, so that top_k gives the smallest of them first.
    negated = tf.where(first, -order, tf.int32.min)
    best, _ = tf.math.top_k(negated, k)
    present = best > tf.int32.min
    return tf.where(present, -best, 0), present
