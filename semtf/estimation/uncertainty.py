"""The depth of images, and how far the neighbours that it was made from disagree."""

from typing import NamedTuple

import tensorflow as tf

from semtf.retrieval import weighting
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever

SPREAD_NEIGHBOURS = 32
"""The spread is that of this many neighbours of most weight."""
SINGLE_SPREAD = 8
"""Where one neighbour has all the weight, the spread is that of this many most similar ones."""
# Weights of the spread count in such parts: few enough for exact sums in float32.
COUNTS = 128


class Spread(NamedTuple):
    """Estimates of ``q`` images from ``k`` neighbours.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        spread: float32 ``[q, H, W]``, grey levels.
        neighbours: those that made the estimate.
        weights: float32 ``[q, k]``.
    """

    depth: tf.Tensor
    spread: tf.Tensor
    neighbours: Neighbours
    weights: tf.Tensor


def num_to_search(retriever: Retriever, blending: Blending) -> int:
    """How many neighbours an estimate and its spread need: one alone has no spread."""
    candidates = blending.num_candidates(retriever.config)
    return max(candidates, SINGLE_SPREAD) if blending.single else candidates


def depth_and_spread(
    retriever: Retriever, images: tf.Tensor, candidates: Neighbours, blending: Blending
) -> Spread:
    """Depth of images, and how far their neighbours disagree.

    The spread is the weighted standard deviation around the estimate, of the 32 neighbours of
    most weight; negative weights count with their size, all in 128ths. Where one neighbour has all
    the weight it is that of the eight most similar pairs, which count alike.

    Args:
        retriever: of the case.
        images: ``[q, H, W]``.
        candidates: `num_to_search` of each.
        blending: how the depth is made from them.
    """
    depth, neighbours, weights = blend(retriever, images, candidates, blending)
    if blending.single:
        deviating, share = candidates, weighting.uniform(candidates.similarity)
    else:
        deviating, share = neighbours, tf.abs(weights)
    share, heaviest = tf.math.top_k(share, min(SPREAD_NEIGHBOURS, share.shape[1]))
    counts = tf.round(COUNTS * share / tf.reduce_sum(share, axis=1, keepdims=True))
    mean, variance = retriever.pixels.mean_and_variance(deviating.taken(heaviest), counts)
    return Spread(depth, tf.sqrt(variance + tf.square(mean - depth)), neighbours, weights)
