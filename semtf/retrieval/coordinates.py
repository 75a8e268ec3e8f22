"""Coordinates among the principal components in which some pixels count more than others."""

import numpy as np
import tensorflow as tf

from semtf.retrieval.projection import PCA


class Coordinates(tf.Module):
    """Points of keys and images whose distance is that of their weighted pixels.

    With the components ``P``, weights ``W`` of the pixels and ``PᵀWP = LLᵀ``, a key of components
    ``a`` lies at ``Lᵀa`` and an image ``q`` at ``L⁻¹PᵀWq``. Then ``|q̃ - k̃|²`` is
    ``(q - Pa)ᵀW(q - Pa)`` less what no choice of ``a`` can change: weighted least squares. The
    few numbers of an embedding stand for all pixels of its key, and the embeddings are those of
    the index.

    Attributes:
        pixel_weights: float32 ``[H·W]``, positive, mean 1.
    """

    def __init__(self, pca: PCA, pixel_weights: np.ndarray | None = None) -> None:
        """``pixel_weights`` are positive, float32 ``[H·W]``; all pixels count alike where None."""
        super().__init__(name="coordinates")
        if pixel_weights is None:
            pixel_weights = np.ones(pca.components.shape[0], np.float32)
        components = pca.components.numpy().astype(np.float64)
        weighted = components * pixel_weights.astype(np.float64)[:, None]
        lower = np.linalg.cholesky(components.T @ weighted)
        from_images = np.linalg.solve(lower, weighted.T).T
        from_embeddings = lower / pca.scale.numpy()[:, None]
        self.pixel_weights = _constant(pixel_weights, "pixel_weights")
        self._from_images = _constant(from_images, "from_images")
        self._from_embeddings = _constant(from_embeddings, "from_embeddings")

    def of_images(self, images: tf.Tensor) -> tf.Tensor:
        """Coordinates ``[q, d]`` of normalised images ``[q, H, W]``."""
        return tf.matmul(tf.reshape(images, [-1, self._from_images.shape[0]]), self._from_images)

    def of_embeddings(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Coordinates ``[q, k, d]`` of keys whose embeddings ``[q, k, d]`` the index holds."""
        flat = tf.reshape(embeddings, [-1, self._from_embeddings.shape[0]])
        return tf.reshape(tf.matmul(flat, self._from_embeddings), tf.shape(embeddings))


def _constant(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(values.astype(np.float32), trainable=False, name=name)
