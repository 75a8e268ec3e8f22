"""From images to embeddings: the z-score, and the projection onto principal components."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import eigsh

from semtf.retrieval.shifts import shifted, shifts

FIT_SAMPLE = 8192
"""Images that the components are fitted on."""
CONTRAST_FLOOR = 1e-5
"""Least length of an image without its mean, as a share of its length with it.

A step of one grey level in one pixel of 72 x 48 has 7e-5, rounding in float32 at most 1e-6.
"""
ENERGY_FLOOR = 1e-8
"""Least energy of a component, as a share of the largest: its root divides the queries."""


def normalise(images: tf.Tensor) -> tf.Tensor:
    """Z-score each image and scale it to unit length, so a dot product is the correlation.

    Args:
        images: grey levels ``[n, H, W]`` of any real type and any affine grey scale.

    Returns:
        float32 ``[n, H, W]`` with zero mean and unit length; zeros where an image is constant,
        NaN where it has NaN.
    """
    images = tf.cast(images, tf.float32)
    centred = images - tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    norm = _length(centred)
    # The mean of a constant image may be rounded; what is left then is no contrast. NaN stays NaN.
    contrast = tf.where(norm <= CONTRAST_FLOOR * _length(images), 0.0, norm)
    return tf.math.divide_no_nan(centred, contrast)


def _length(images: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(images), axis=[1, 2], keepdims=True))


class PCA(tf.Module):
    """Projection onto the principal components of the normalised, shifted keys.

    The components are those of the second moment, not of the covariance: without its mean, a key
    loses the part of the cosine that lies along the mean and outside the components. Embeddings of
    keys and of queries are scaled inversely to each other: their product stays the cosine, while
    each dimension counts in the index by what its error does to that product.
    """

    def __init__(self, components: np.ndarray, scale: np.ndarray) -> None:
        """``components`` float32 ``[p, d]``, orthonormal columns; ``scale`` float32 ``[d]``."""
        super().__init__(name="pca")
        self.components = tf.Variable(components, trainable=False, name="components")
        self.scale = tf.Variable(scale, trainable=False, name="scale")

    @classmethod
    def fit(cls, keys: np.ndarray, radius: int, dimensions: int, seed: int) -> "PCA":
        """Fit on every key in one random shift, or in several where keys are few.

        Args:
            keys: uint8 ``[n, H, W]``.
            radius: largest shift in pixels.
            dimensions: components to keep (fewer where an image has fewer pixels).
            seed: picks keys and shifts.
        """
        sample = _normalised_sample(keys, radius, np.random.default_rng(seed))
        pixels = sample.shape[1]
        energy, vectors = eigsh(
            sample.T @ sample / np.float32(len(sample)),
            k=min(dimensions, pixels - 1),
            v0=np.ones(pixels, np.float32),
        )
        order = _strong_beside_weak(len(energy))
        energy = np.maximum(energy, ENERGY_FLOOR * energy.max())[::-1][order]
        components = np.ascontiguousarray(vectors[:, ::-1][:, order])
        return cls(components, energy.astype(np.float32) ** np.float32(0.25))

    def embed_keys(self, images: tf.Tensor) -> tf.Tensor:
        """Embeddings ``[n, d]`` of normalised key images ``[n, H, W]``."""
        flat = tf.reshape(images, [-1, self.components.shape[0]])
        return tf.matmul(flat, self.components) * self.scale

    def embed_queries(self, images: tf.Tensor) -> tf.Tensor:
        """Embeddings ``[n, d]`` of normalised images ``[n, H, W]`` that are searched for.

        Their dot product with the embedding of a key is the cosine within the components.
        """
        flat = tf.reshape(images, [-1, self.components.shape[0]])
        return tf.matmul(flat, self.components) / self.scale

    def save(self, folder: Path) -> None:
        """Write ``components.npy`` and ``scale.npy``."""
        np.save(folder / "components.npy", self.components.numpy(), allow_pickle=False)
        np.save(folder / "scale.npy", self.scale.numpy(), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "PCA":
        """Read what `save` wrote."""
        return cls(
            np.load(folder / "components.npy", allow_pickle=False),
            np.load(folder / "scale.npy", allow_pickle=False),
        )


def _normalised_sample(keys: np.ndarray, radius: int, generator: np.random.Generator) -> np.ndarray:
    """Normalised keys in random shifts, float32 ``[m, H·W]``."""
    moves = shifts(radius)
    keys = keys[np.sort(generator.permutation(len(keys))[:FIT_SAMPLE])]
    repeats = max(1, min(len(moves), FIT_SAMPLE // len(keys)))
    order = np.stack([generator.permutation(len(moves))[:repeats] for _ in keys])
    return np.concatenate(
        [_shifted_pixels(keys[np.any(order == i, axis=1)], tuple(m)) for i, m in enumerate(moves)]
    )


def _strong_beside_weak(count: int) -> np.ndarray:
    """The first with the last, the second with the last but one, …: ``0, n-1, 1, n-2, …``.

    ScaNN codes two dimensions in four bits; a strong one beside a weak one uses them best
    (the balancing of T. Ge et al., "Optimized Product Quantization", CVPR 2013).
    """
    from_both_ends = np.stack([np.arange(count), np.arange(count)[::-1]], axis=1)
    return from_both_ends.ravel()[:count]


def _shifted_pixels(keys: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Keys moved by one shift, normalised, as float32 ``[n, H·W]``."""
    images = normalise(shifted(tf.constant(keys), shift))
    pixels: np.ndarray = tf.reshape(images, [len(keys), -1]).numpy()
    return pixels
