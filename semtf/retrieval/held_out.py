"""Queries of known depth, made without the depth of a single fab image.

A query is the key of a pair with the fab's noise (`semtf.noise`). The pair itself, and other pairs
of the same measurement, are left out of the query's neighbours, so the rest of the storage meets it
as it meets a new image.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.errors import InputError
from semtf.noise.fit import Fitted, fit_noise
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import neighbour_weights
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever

BATCH = 64
SAMPLE = 256
"""Fab images and pairs that the noise is found with."""
FIT_NEIGHBOURS = 128
# Weaker fits follow more of the noise, stronger ones leave more of the holes: in between the
# traces of noise stand out most.
FIT_RIDGE = 3.0


class HeldOutQueries(NamedTuple):
    """Queries made of held-out pairs.

    Attributes:
        images: float32 ``[m, H, W]``, grey levels.
        pair: int ``[m]``, index of the pair that each was made of.
    """

    images: npt.NDArray[np.float32]
    pair: npt.NDArray[np.intp]

    @classmethod
    def make(
        cls, retriever: Retriever, noise: NoiseModel, pair: npt.NDArray[np.intp], seed: int
    ) -> "HeldOutQueries":
        """Keys of pairs ``[m]`` with the fab's noise."""
        keys = retriever.storage.keys[pair]
        return cls(noise.added(keys, np.random.default_rng(seed)), pair)

    def batches(self) -> Iterator["HeldOutQueries"]:
        """The queries, `BATCH` at a time."""
        for start in range(0, len(self.pair), BATCH):
            batch = slice(start, start + BATCH)
            yield HeldOutQueries(self.images[batch], self.pair[batch])

    def true_depth(self, retriever: Retriever) -> npt.NDArray[np.float32]:
        """The depth of the pairs that the queries were made of, float32 ``[m, H, W]``."""
        return retriever.storage.values[self.pair].astype(np.float32)

    def neighbours(self, retriever: Retriever, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each query other than those of its measurement."""
        measurement, most = retriever.storage.measurements
        neighbours = retriever.search(tf.constant(self.images), k + most)
        same = measurement[self.pair][:, None] == measurement[neighbours.pair.numpy()]
        other = tf.constant(~same, tf.float32)
        # Those that stay keep their order: top_k takes the first of equals.
        return neighbours.taken(tf.math.top_k(other, min(k, other.shape[1] - most)).indices)


def find_noise(retriever: Retriever, images: npt.NDArray[np.uint8], seed: int) -> NoiseModel:
    """The noise of a case's fab images, found beside the keys of its storage.

    Args:
        retriever: of the case.
        images: fab images ``[n, H, W]``, without labels; of 256 or more, 256 are used.
        seed: picks images and pairs, and draws the noise that is tried.

    Raises:
        InputError: there is no image, or only one pair.
    """
    if len(images) == 0 or len(retriever.storage) < 2:
        raise InputError(
            f"case {retriever.storage.case}: held-out queries need a fab image and two pairs; "
            "add them"
        )
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(images))[:SAMPLE])
    pairs = generator.permutation(len(retriever.storage))[:SAMPLE]
    fitted = retriever.with_settings(ridge=FIT_RIDGE)
    strongest = np.argsort(-retriever.pca.scale.numpy())
    return fit_noise(
        lambda batch, pair: fit_of_neighbours(fitted, batch, pair),
        images[chosen],
        retriever.storage.keys[pairs],
        pairs,
        retriever.pca.components.numpy()[:, strongest],
        seed,
    )


def fit_of_neighbours(
    retriever: Retriever, images: npt.NDArray[np.generic], pair: npt.NDArray[np.intp] | None
) -> Fitted:
    """Images ``[n, H, W]`` beside what reconstruction makes of their neighbours' keys.

    Args:
        retriever: whose ridge is used.
        images: grey levels.
        pair: the pair that each was made of, to leave out, ``[n]``; None for new images.
    """
    parts = []
    for start in range(0, len(images), BATCH):
        batch = np.asarray(images[start : start + BATCH], np.float32)
        if pair is None:
            neighbours = retriever.search(tf.constant(batch), FIT_NEIGHBOURS)
        else:
            queries = HeldOutQueries(batch, pair[start : start + BATCH])
            neighbours = queries.neighbours(retriever, FIT_NEIGHBOURS)
        weights = neighbour_weights(retriever, batch, neighbours, "reconstruction")
        keys = retriever.pixels.blended_keys(neighbours, weights).numpy()
        mean = batch.mean(axis=(1, 2), keepdims=True)
        length = np.linalg.norm(batch - mean, axis=(1, 2), keepdims=True)
        residual = (normalise(batch).numpy() - keys) * length
        parts.append(Fitted(residual, keys * length + mean, neighbours.similarity[:, 0].numpy()))
    return Fitted(*map(np.concatenate, zip(*parts, strict=True)))
