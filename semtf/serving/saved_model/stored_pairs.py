"""Stored pairs to look at: the adapted image and the depth map, moved as an estimate moves them."""

from collections.abc import Mapping

import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever
from semtf.serving.saved_model.graph_assertions import require
from semtf.serving.saved_model.graph_png import encode


@no_autograph
def stored_pair_pngs(
    retrievers: Mapping[int, Retriever], case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Stored pairs as PNG files.

    Args:
        retrievers: by case.
        case: int32 ``[n]``.
        pair: int32 ``[n]``, indices in the storage of the case, as ``neighbours`` gives them.
        shift: int32 ``[n, 2]``, (rows, columns) in pixels.

    Returns:
        ``sem_png_bytes`` and ``depth_png_bytes``, string ``[n]``. The graph fails with a message
        where a case, pair or shift does not exist.
    """
    with tf.control_dependencies(_checks(retrievers, case, pair, shift)):
        case, pair, shift = tf.identity(case), tf.identity(pair), tf.identity(shift)
    size = [tf.shape(case)[0], *next(iter(retrievers.values())).shape]
    sem, depth = tf.zeros(size), tf.zeros(size)
    for number, retriever in retrievers.items():
        indices = tf.where(case == number)
        pair_of_case = tf.gather_nd(pair, indices)[:, tf.newaxis]
        shift_of_case = tf.gather_nd(shift, indices)[:, tf.newaxis]
        neighbours = Neighbours(
            pair_of_case,
            shift_of_case,
            similarity=tf.ones_like(pair_of_case, tf.float32),
            fraction=tf.zeros_like(shift_of_case, tf.float32),
        )
        keys, values = retriever.pixels.keys(neighbours), retriever.pixels.values(neighbours)
        sem = tf.tensor_scatter_nd_update(sem, indices, keys[:, 0])
        depth = tf.tensor_scatter_nd_update(depth, indices, values[:, 0])
    return {"sem_png_bytes": encode(sem), "depth_png_bytes": encode(depth)}


def _checks(
    retrievers: Mapping[int, Retriever], case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor
) -> list[tf.Operation]:
    count = tf.shape(case)[0]
    same_count = (tf.shape(pair)[0] == count) & (tf.shape(shift)[0] == count)
    counts_checked = require(
        same_count, "give one case, pair and shift for each image; got {} cases", count
    )
    known = tf.constant(list(retrievers))
    sizes = tf.constant([len(retriever.storage) for retriever in retrievers.values()])
    radius = max(retriever.config.shift for retriever in retrievers.values())
    with tf.control_dependencies([counts_checked]):
        is_case = case[:, tf.newaxis] == known
    size = tf.reduce_sum(tf.where(is_case, sizes, 0), axis=1)
    cases = ", ".join(map(str, sorted(retrievers)))
    all_known = tf.reduce_all(tf.reduce_any(is_case, axis=1))
    cases_checked = require(all_known, f"case must be one of {cases}; got {{}}", case)
    with tf.control_dependencies([cases_checked]):
        all_stored = tf.reduce_all((pair >= 0) & (pair < size))
    # The absolute value of the smallest number is negative.
    within_radius = tf.reduce_all((shift >= -radius) & (shift <= radius))
    return [
        require(all_stored, "pair: the storage has {} pairs; got {}", size, pair),
        require(within_radius, f"shift: at most {radius} pixels; got {{}}", shift),
    ]
