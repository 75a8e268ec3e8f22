"""The rows of the index: every key in every shift, or every key with its hole centred.

The rows of a pair stand side by side, so that a row's number tells its pair.
"""

import numpy as np
import tensorflow as tf

from semtf.config import RetrievalConfig
from semtf.retrieval.alignment import centred
from semtf.retrieval.embedding import PCA, normalise, shifted, shifts

TUNING_SAMPLE = 256


def flat(images: np.ndarray) -> np.ndarray:
    """Images ``[n, H, W]`` as ``[n, H·W]``, read from disk where they are memory-mapped."""
    return np.asarray(images).reshape(len(images), -1)


def placed(images: tf.Tensor, config: RetrievalConfig) -> tf.Tensor:
    """Normalised images as they are searched: with the hole centred, where that is asked for."""
    return centred(images, config.shift) if config.align == "centre" else images


def embeddings_and_norms(
    keys: np.ndarray, config: RetrievalConfig, pca: PCA, chunk: int = 512
) -> tuple[np.ndarray, np.ndarray]:
    """Rows ``[m, d]``, those of a pair side by side, and centred lengths ``[n, S]``."""
    moves = shifts(config.shift)
    side_by_side = 1 if config.align == "centre" else len(moves)
    rows = np.empty((len(keys), side_by_side, pca.components.shape[1]), np.float32)
    norms = np.empty((len(keys), len(moves)), np.float32)
    for start in range(0, len(keys), chunk):
        here = slice(start, start + chunk)
        part = tf.cast(keys[here], tf.float32)
        for s, move in enumerate(moves):
            images = shifted(part, tuple(move))
            deviation = tf.math.reduce_std(images, axis=[1, 2])
            norms[here, s] = deviation * np.sqrt(keys[0].size)
            if config.align == "shift":
                rows[here, s] = pca.rows(normalise(images))
        if config.align == "centre":
            rows[here, 0] = pca.rows(centred(normalise(part), config.shift))
    return rows.reshape(-1, rows.shape[-1]), norms


def distinct(pair: tf.Tensor, similarity: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Places of the first ``k`` different pairs of each row, and whether there were as many.

    Args:
        pair: int32 ``[q, m]``, best first, with repetitions.
        similarity: float32 ``[q, m]``; -inf marks a place that holds no pair.
        k: different pairs wanted, at most ``m``.
    """
    order = tf.argsort(pair, axis=1, stable=True)
    ordered = tf.gather(pair, order, batch_dims=1)
    first = tf.concat([tf.ones_like(ordered[:, :1], tf.bool), ordered[:, 1:] != ordered[:, :-1]], 1)
    first &= tf.gather(similarity, order, batch_dims=1) > -np.inf
    # The places of first occurrences, negated so that top_k gives the best candidates first.
    places = tf.where(first, -order, tf.int32.min)
    best, _ = tf.math.top_k(places, k)
    found = best > tf.int32.min
    return tf.where(found, -best, 0), found


def query_sample(keys: np.ndarray, config: RetrievalConfig, pca: PCA, seed: int) -> np.ndarray:
    """Queries to tune an index with, float32 ``[m, d]``."""
    chosen = np.random.default_rng(seed).permutation(len(keys))[:TUNING_SAMPLE]
    images = normalise(tf.constant(keys[np.sort(chosen)]))
    sample: np.ndarray = pca.queries(placed(images, config)).numpy()
    return sample
