"""The embeddings of the index: of every key in every shift, or of every key with its hole centred.

The embeddings of a pair stand side by side, so that the index of an embedding tells its pair.
"""

import numpy as np
import tensorflow as tf

from semtf.config import RetrievalConfig
from semtf.retrieval.alignment import centred
from semtf.retrieval.projection import PCA, normalise
from semtf.retrieval.shifts import shifted, shifts

TUNING_SAMPLE = 256
"""Queries that the effort of an approximate index is tuned with."""


def embeddings_per_pair(config: RetrievalConfig) -> int:
    """How many embeddings of each pair the index holds."""
    return 1 if config.align == "centre" else (2 * config.shift + 1) ** 2


def aligned_for_search(images: tf.Tensor, config: RetrievalConfig) -> tf.Tensor:
    """Normalised images as queries show them: with ``align="centre"`` the hole is centred."""
    return centred(images, config.shift) if config.align == "centre" else images


def embeddings_and_norms(
    keys: np.ndarray, config: RetrievalConfig, pca: PCA, chunk: int = 512
) -> tuple[np.ndarray, np.ndarray]:
    """What the index holds of keys, and what turns products of their pixels into cosines.

    Args:
        keys: uint8 ``[n, H, W]``.
        config: largest shift and kind of alignment.
        pca: the projection.
        chunk: keys at a time.

    Returns:
        Embeddings float32 ``[n · embeddings_per_pair(config), d]``, and the norm of each key in
        each of ``S`` shifts, its mean taken off, float32 ``[n, S]``.
    """
    moves = shifts(config.shift)
    embeddings = np.empty(
        (len(keys), embeddings_per_pair(config), pca.components.shape[1]), np.float32
    )
    norms = np.empty((len(keys), len(moves)), np.float32)
    for start in range(0, len(keys), chunk):
        chosen = slice(start, start + chunk)
        images = tf.cast(keys[chosen], tf.float32)
        for i, move in enumerate(moves):
            moved = shifted(images, tuple(move), config.edges)
            norms[chosen, i] = tf.math.reduce_std(moved, axis=[1, 2]) * np.sqrt(keys[0].size)
            if config.align == "shift":
                embeddings[chosen, i] = pca.embed_keys(normalise(moved))
        if config.align == "centre":
            embeddings[chosen, 0] = pca.embed_keys(centred(normalise(images), config.shift))
    return embeddings.reshape(-1, embeddings.shape[-1]), norms


def sample_queries(keys: np.ndarray, config: RetrievalConfig, pca: PCA, seed: int) -> np.ndarray:
    """Embeddings of some of the keys as queries, to tune an index with, float32 ``[m, d]``."""
    chosen = np.random.default_rng(seed).permutation(len(keys))[:TUNING_SAMPLE]
    images = normalise(tf.constant(keys[np.sort(chosen)]))
    queries: np.ndarray = pca.embed_queries(aligned_for_search(images, config)).numpy()
    return queries
