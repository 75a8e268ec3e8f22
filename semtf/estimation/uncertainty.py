"""How far the neighbours disagree."""

import tensorflow as tf

from semtf.retrieval.chunks import in_chunks
from semtf.retrieval.retriever import Neighbours, Retriever

CHUNK_FLOATS = 1 << 22


def spread(
    retriever: Retriever, neighbours: Neighbours, weights: tf.Tensor, depth: tf.Tensor
) -> tf.Tensor:
    """Weighted standard deviation of the neighbours' depth around the estimate, in grey levels.

    Args:
        retriever: knows the depth values.
        neighbours: ``k`` of each of ``q`` images.
        weights: ``[q, k]``; negative ones count with their size.
        depth: ``[q, H, W]``, the estimate.

    Returns:
        float32 ``[q, H, W]``; 0 where one neighbour has all the weight.
    """

    def some(
        pair: tf.Tensor, shift: tf.Tensor, share: tf.Tensor, mean: tf.Tensor
    ) -> tuple[tf.Tensor]:
        values = retriever.values(Neighbours(pair, shift, share))
        squares = tf.square(values - mean[:, None])
        return (tf.sqrt(tf.einsum("qk,qkhw->qhw", share, squares)),)

    share = tf.abs(weights) / tf.reduce_sum(tf.abs(weights), axis=1, keepdims=True)
    pixels = retriever.shape[0] * retriever.shape[1]
    chunk = max(1, CHUNK_FLOATS // (neighbours.pair.shape[1] * pixels))
    parts = (neighbours.pair, neighbours.shift, share, depth)
    return in_chunks(some, parts, chunk, (tf.float32,))[0]
