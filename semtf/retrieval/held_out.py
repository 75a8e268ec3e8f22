"""Queries of known depth, made without the depth of a single fab image.

A query is the key of a pair plus what reconstruction left of a fab image: the fab's noise and what
adaptation has not mended. The pair itself is left out of the query's neighbours, so the rest of the
storage meets it as it meets a new image.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval.blending import neighbour_weights, residual
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever

BATCH = 64
RESIDUAL_NEIGHBOURS = 128


class HeldOutQueries(NamedTuple):
    """Queries made of held-out pairs.

    Attributes:
        images: float32 ``[m, H, W]``, of the scale of normalised images.
        pair: int ``[m]``, index of the pair that each was made of.
    """

    images: np.ndarray
    pair: np.ndarray

    @classmethod
    def make(
        cls, retriever: Retriever, residuals: np.ndarray, pair: np.ndarray
    ) -> "HeldOutQueries":
        """Keys of pairs ``[m]`` with residuals ``[r, H, W]`` added, which are used in turn."""
        keys = normalise(tf.constant(retriever.storage.keys[pair])).numpy()
        return cls(keys + residuals[np.arange(len(pair)) % len(residuals)], pair)

    def batches(self) -> Iterator["HeldOutQueries"]:
        """The queries, `BATCH` at a time."""
        for start in range(0, len(self.pair), BATCH):
            yield HeldOutQueries(*(part[start : start + BATCH] for part in self))

    def true_depth(self, retriever: Retriever) -> np.ndarray:
        """The depth of the pairs that the queries were made of, float32 ``[m, H, W]``."""
        return retriever.storage.values[self.pair].astype(np.float32)

    def neighbours(self, retriever: Retriever, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each query other than the one it was made of."""
        neighbours = retriever.search(tf.constant(self.images), k + 1)
        other = tf.cast(neighbours.pair != self.pair[:, None], tf.float32)
        # Those that stay keep their order: top_k takes the first of equals.
        return neighbours.taken(tf.math.top_k(other, min(k, other.shape[1] - 1)).indices)


def residuals(retriever: Retriever, images: np.ndarray) -> np.ndarray:
    """What reconstruction leaves of fab images, float32 ``[n, H, W]``.

    Raises:
        InputError: there is no image, or only one pair.
    """
    if len(images) == 0 or len(retriever.storage) < 2:
        raise InputError(
            f"case {retriever.storage.case}: held-out queries need a fab image and two pairs; "
            "add them"
        )
    parts = []
    for start in range(0, len(images), BATCH):
        batch = tf.cast(images[start : start + BATCH], tf.float32)
        neighbours = retriever.search(batch, RESIDUAL_NEIGHBOURS)
        weights = neighbour_weights(retriever, batch, neighbours, "reconstruction")
        parts.append(residual(retriever, batch, neighbours, weights).numpy())
    return np.concatenate(parts)
