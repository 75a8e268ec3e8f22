"""From images to the rows that are searched: z-score, shifts and a linear projection.

The shift convention of the whole package: an image shifted by ``(dr, dc)`` is
``shifted[r, c] = image[r - dr, c - dc]`` with the source clamped to the image, so content moves
down by ``dr`` rows and right by ``dc`` columns and the edges are replicated, never wrapped. A
depth value moves by the same shift as its key.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import eigsh

SAMPLE = 8192


def normalise(images: tf.Tensor) -> tf.Tensor:
    """Z-score each image and scale it to unit length, so a dot product is the correlation.

    Args:
        images: grey levels ``[n, H, W]`` of any real type and any affine grey scale.

    Returns:
        float32 ``[n, H, W]`` with zero mean and unit length; zeros where an image is constant.
    """
    images = tf.cast(images, tf.float32)
    centred = images - tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    length = tf.sqrt(tf.reduce_sum(tf.square(centred), axis=[1, 2], keepdims=True))
    return tf.math.divide_no_nan(centred, length)


def shifts(radius: int) -> np.ndarray:
    """Every shift of up to ``radius`` pixels: int32 ``[(2·radius + 1)², 2]``, (rows, columns)."""
    one = np.arange(-radius, radius + 1, dtype=np.int32)
    return np.stack(np.meshgrid(one, one, indexing="ij"), axis=-1).reshape(-1, 2)


def shifted(images: tf.Tensor, shift: tuple[int, int]) -> tf.Tensor:
    """Images ``[n, H, W]`` moved by one shift (rows, columns) in pixels, edges replicated."""
    height, width = images.shape[1], images.shape[2]
    rows = np.clip(np.arange(height) - shift[0], 0, height - 1)
    columns = np.clip(np.arange(width) - shift[1], 0, width - 1)
    return tf.gather(tf.gather(images, rows, axis=1), columns, axis=2)


def back_projected(images: tf.Tensor, radius: int) -> tf.Tensor:
    """The adjoint of every shift: ``<shifted(key, s), image> = <key, back_projected(image)[s]>``.

    It lets all shifts of a key be compared by one product with the unshifted key.

    Args:
        images: float32 ``[n, H, W]``.
        radius: largest shift in pixels.

    Returns:
        float32 ``[n, S, H, W]`` in the order of `shifts`.
    """
    height, width = images.shape[1], images.shape[2]
    rows = tf.constant(_selectors(height, radius))
    columns = tf.constant(_selectors(width, radius))
    moved = tf.einsum("arh,nrc->nahc", rows, images)
    moved = tf.einsum("bcw,nahc->nabhw", columns, moved)
    return tf.reshape(moved, [-1, (2 * radius + 1) ** 2, height, width])


def _selectors(size: int, radius: int) -> np.ndarray:
    """One-hot float32 ``[2·radius + 1, size, size]``: output position to clamped source."""
    steps = np.arange(-radius, radius + 1)[:, None]
    source = np.clip(np.arange(size)[None, :] - steps, 0, size - 1)
    return np.eye(size, dtype=np.float32)[source]


class PCA(tf.Module):
    """Projection onto the principal components of the normalised, shifted keys.

    Only the rows are centred: ``<query, key - mean>`` ranks keys exactly as ``<query, key>`` does,
    and keeps the rows small.
    """

    def __init__(self, mean: np.ndarray, components: np.ndarray) -> None:
        """``mean`` float32 ``[p]``, ``components`` float32 ``[p, d]`` with orthonormal columns."""
        super().__init__(name="pca")
        self.mean = tf.Variable(mean, trainable=False, name="mean")
        self.components = tf.Variable(components, trainable=False, name="components")

    @classmethod
    def fit(cls, keys: np.ndarray, radius: int, dimensions: int, seed: int) -> "PCA":
        """Fit on every key in one random shift, or in several where keys are few.

        Args:
            keys: uint8 ``[n, H, W]``.
            radius: largest shift in pixels.
            dimensions: components to keep (fewer where rows or pixels are fewer).
            seed: picks keys and shifts.
        """
        generator = np.random.default_rng(seed)
        moves = shifts(radius)
        keys = keys[np.sort(generator.permutation(len(keys))[:SAMPLE])]
        repeats = max(1, min(len(moves), SAMPLE // len(keys)))
        order = np.stack([generator.permutation(len(moves))[:repeats] for _ in keys])
        sample = np.concatenate(
            [_flat(keys[np.any(order == s, axis=1)], tuple(m)) for s, m in enumerate(moves)]
        )
        mean = sample.mean(axis=0)
        sample = sample - mean
        pixels = sample.shape[1]
        _, vectors = eigsh(
            sample.T @ sample, k=min(dimensions, pixels - 1), v0=np.ones(pixels, np.float32)
        )
        return cls(mean, np.ascontiguousarray(vectors[:, ::-1]))

    def rows(self, images: tf.Tensor) -> tf.Tensor:
        """Rows ``[n, d]`` of normalised key images ``[n, H, W]``."""
        flat = tf.reshape(images, [-1, self.mean.shape[0]])
        return tf.matmul(flat - self.mean, self.components)

    def queries(self, images: tf.Tensor) -> tf.Tensor:
        """Queries ``[n, d]`` of normalised images ``[n, H, W]``, to be multiplied with rows."""
        return tf.matmul(tf.reshape(images, [-1, self.mean.shape[0]]), self.components)

    def save(self, folder: Path) -> None:
        """Write ``mean.npy`` and ``components.npy``."""
        np.save(folder / "mean.npy", self.mean.numpy(), allow_pickle=False)
        np.save(folder / "components.npy", self.components.numpy(), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "PCA":
        """Read what `save` wrote."""
        return cls(
            np.load(folder / "mean.npy", allow_pickle=False),
            np.load(folder / "components.npy", allow_pickle=False),
        )


def _flat(keys: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    images = normalise(shifted(tf.constant(keys), shift))
    flat: np.ndarray = tf.reshape(images, [len(keys), -1]).numpy()
    return flat
