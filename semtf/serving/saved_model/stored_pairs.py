"""Stored pairs to look at: the adapted image and the depth map, moved as an estimate moves them."""

from collections.abc import Mapping

import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever
from semtf.serving.saved_model.graph_assertions import require
from semtf.serving.saved_model.graph_png import encode


@no_autograph
def stored_pngs(
    retrievers: Mapping[int, Retriever], case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Stored pairs as PNG files.

    Args:
        retrievers: by case.
        case: int32 ``[n]``.
        pair: int32 ``[n]``, places in the storage of the case, as ``neighbours`` gives them.
        shift: int32 ``[n, 2]``, (rows, columns) in pixels.

    Returns:
        ``sem_png_bytes`` and ``depth_png_bytes``, string ``[n]``. The graph fails with a message
        for a case, pair or shift that there is not.
    """
    with tf.control_dependencies(_checks(retrievers, case, pair, shift)):
        case, pair, shift = tf.identity(case), tf.identity(pair), tf.identity(shift)
    size = [tf.shape(case)[0], *next(iter(retrievers.values())).shape]
    sem, depth = tf.zeros(size), tf.zeros(size)
    for number, retriever in retrievers.items():
        rows = tf.where(case == number)
        chosen = tf.gather_nd(pair, rows)[:, tf.newaxis]
        moves = tf.gather_nd(shift, rows)[:, tf.newaxis]
        none = tf.zeros_like(moves, tf.float32)
        found = Neighbours(chosen, moves, tf.ones_like(chosen, tf.float32), none)
        sem = tf.tensor_scatter_nd_update(sem, rows, retriever.pixels.keys(found)[:, 0])
        depth = tf.tensor_scatter_nd_update(depth, rows, retriever.pixels.values(found)[:, 0])
    return {"sem_png_bytes": encode(sem), "depth_png_bytes": encode(depth)}


def _checks(
    retrievers: Mapping[int, Retriever], case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor
) -> list[tf.Operation]:
    count = tf.shape(case)[0]
    same = (tf.shape(pair)[0] == count) & (tf.shape(shift)[0] == count)
    alike = require(same, "give one case, pair and shift for each image; got {} cases", count)
    known = tf.constant(list(retrievers))
    sizes = tf.constant([len(retriever.storage) for retriever in retrievers.values()])
    radius = max(retriever.config.shift for retriever in retrievers.values())
    with tf.control_dependencies([alike]):
        hit = case[:, tf.newaxis] == known
    size = tf.reduce_sum(tf.where(hit, sizes, 0), axis=1)
    cases = ", ".join(map(str, sorted(retrievers)))
    right = tf.reduce_all(tf.reduce_any(hit, axis=1))
    with tf.control_dependencies([require(right, f"case must be one of {cases}; got {{}}", case)]):
        there = tf.reduce_all((pair >= 0) & (pair < size))
    near = tf.reduce_all(tf.abs(shift) <= radius)
    return [
        require(there, "pair: the storage has {} pairs; got {}", size, pair),
        require(near, f"shift: at most {radius} pixels; got {{}}", shift),
    ]
