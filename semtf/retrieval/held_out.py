"""Queries of known depth, made without the depth of a single fab image.

A query is the key of a stored pair plus what reconstruction left of a fab image: the fab's noise
and what adaptation has not mended. The pair itself is left out of the query's neighbours, so the
rest of the storage meets it as it meets a new image.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval.embedding import normalise
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever

BATCH = 64
RESIDUAL_NEIGHBOURS = 128


class HeldOut(NamedTuple):
    """Queries made of held-out pairs.

    Attributes:
        images: float32 ``[m, H, W]``, of the scale of normalised images.
        own: int ``[m]``, the pair that each was made of.
    """

    images: np.ndarray
    own: np.ndarray

    @classmethod
    def made(cls, retriever: Retriever, residuals: np.ndarray, own: np.ndarray) -> "HeldOut":
        """Keys of the pairs ``own`` ``[m]`` with residuals ``[r, H, W]``, used in turn."""
        keys = normalise(tf.constant(retriever.storage.keys[own])).numpy()
        return cls(keys + residuals[np.arange(len(own)) % len(residuals)], own)

    def batches(self) -> Iterator["HeldOut"]:
        """The queries, `BATCH` at a time."""
        for start in range(0, len(self.own), BATCH):
            yield HeldOut(*(part[start : start + BATCH] for part in self))

    def neighbours(self, retriever: Retriever, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each query other than its own."""
        found = retriever.search(tf.constant(self.images), k + 1)
        other = tf.cast(found.pair != self.own[:, None], tf.float32)
        # Those that stay keep their order: top_k takes the first of equals.
        place = tf.math.top_k(other, min(k, found.pair.shape[1] - 1)).indices
        return Neighbours(*(tf.gather(part, place, batch_dims=1) for part in found))


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
        some = tf.cast(images[start : start + BATCH], tf.float32)
        found = retriever.search(some, RESIDUAL_NEIGHBOURS)
        weights = retriever.weights(some, found, "reconstruction")
        parts.append(retriever.residual(some, found, weights).numpy())
    return np.concatenate(parts)
