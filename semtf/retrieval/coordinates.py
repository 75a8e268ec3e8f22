"""Coordinates among the principal components in which some pixels count more than others."""

import numpy as np
import tensorflow as tf

from semtf.retrieval.embedding import PCA


class Coordinates(tf.Module):
    """Places of keys and images whose distance is that of their weighted pixels.

    With the components ``P``, weights ``W`` of the pixels and ``PᵀWP = LLᵀ``, a key of components
    ``a`` lies at ``Lᵀa`` and an image ``q`` at ``L⁻¹PᵀWq``. Then ``|q̃ - k̃|²`` is
    ``(q - Pa)ᵀW(q - Pa)`` less what no choice of ``a`` can change: weighted least squares. The
    few numbers of a row stand for all its pixels, and the rows are those of the index.

    Attributes:
        pixel_weights: float32 ``[H·W]``, positive, mean 1.
    """

    def __init__(self, pca: PCA, pixel_weights: np.ndarray) -> None:
        super().__init__(name="coordinates")
        pixels, dimensions = pca.components.shape
        self._pca = pca
        self.pixel_weights = tf.Variable(tf.zeros([pixels]), trainable=False, name="pixel_weights")
        self._of_images = tf.Variable(tf.zeros([pixels, dimensions]), trainable=False)
        self._of_rows = tf.Variable(tf.zeros([dimensions, dimensions]), trainable=False)
        self.weigh(pixel_weights)

    def weigh(self, pixel_weights: np.ndarray) -> None:
        """Let the pixels count by these weights, positive, ``[H·W]``."""
        components = self._pca.components.numpy().astype(np.float64)
        weighted = components * pixel_weights.astype(np.float64)[:, None]
        lower = np.linalg.cholesky(components.T @ weighted)
        self.pixel_weights.assign(pixel_weights)
        self._of_images.assign(np.linalg.solve(lower, weighted.T).T)
        self._of_rows.assign(lower / self._pca.scale.numpy()[:, None])

    def of_images(self, images: tf.Tensor) -> tf.Tensor:
        """Coordinates ``[q, d]`` of normalised images ``[q, H, W]``."""
        return tf.matmul(tf.reshape(images, [-1, self._of_images.shape[0]]), self._of_images)

    def of_rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Coordinates ``[q, k, d]`` of rows of the index ``[q, k, d]``."""
        flat = tf.matmul(tf.reshape(rows, [-1, self._of_rows.shape[0]]), self._of_rows)
        return tf.reshape(flat, tf.shape(rows))
