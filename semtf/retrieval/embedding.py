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
ENERGY_FLOOR = 1e-8


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
    for axis, step in enumerate(shift, start=1):
        images = _moved_along(images, int(step), axis)
    return images


def _moved_along(images: tf.Tensor, step: int, axis: int) -> tf.Tensor:
    size = images.shape[axis]
    kept = size - abs(step)
    if step > 0:
        body, _ = tf.split(images, [kept, step], axis=axis)
        edge = tf.gather(images, [0] * step, axis=axis)
        return tf.concat([edge, body], axis=axis)
    if step < 0:
        _, body = tf.split(images, [-step, kept], axis=axis)
        edge = tf.gather(images, [size - 1] * -step, axis=axis)
        return tf.concat([body, edge], axis=axis)
    return images


def adjoint_shifts(images: tf.Tensor, radius: int) -> tf.Tensor:
    """The adjoint of every shift: ``<shifted(key, s), image> = <key, back_projected(image)[s]>``.

    It lets all shifts of a key be compared by one product with the unshifted key.

    Args:
        images: float32 ``[n, H, W]``.
        radius: largest shift in pixels.

    Returns:
        float32 ``[n, S, H, W]`` in the order of `shifts`.
    """
    steps = range(-radius, radius + 1)
    shape = images.shape[1:]
    rows = tf.stack([_back_along(images, step, 1) for step in steps], axis=1)
    rows = tf.reshape(rows, [-1, *shape])
    both = tf.stack([_back_along(rows, step, 2) for step in steps], axis=1)
    return tf.reshape(both, [-1, len(steps) ** 2, *shape])


def _back_along(images: tf.Tensor, step: int, axis: int) -> tf.Tensor:
    """Where a shift replicates an edge, its adjoint sums; where it drops one, zeros."""
    size = images.shape[axis]
    kept = size - abs(step) - 1
    if step > 0:
        edge, body = tf.split(images, [step + 1, kept], axis=axis)
        edge = tf.reduce_sum(edge, axis=axis, keepdims=True)
        return tf.concat([edge, body, tf.zeros_like(tf.split(body, [step, -1], axis)[0])], axis)
    if step < 0:
        body, edge = tf.split(images, [kept, 1 - step], axis=axis)
        edge = tf.reduce_sum(edge, axis=axis, keepdims=True)
        return tf.concat([tf.zeros_like(tf.split(body, [-step, -1], axis)[0]), body, edge], axis)
    return images


class PCA(tf.Module):
    """Projection onto the principal components of the normalised, shifted keys.

    The components are those of the second moment, not of the covariance: without its mean, a key
    loses the part of the cosine that lies along the mean and outside the components. Rows and
    queries are scaled inversely to each other, so that their product stays the cosine while each
    dimension counts in the index by what its error does to that product.
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
        sample = _sample(keys, radius, np.random.default_rng(seed))
        pixels = sample.shape[1]
        energy, vectors = eigsh(
            sample.T @ sample / np.float32(len(sample)),
            k=min(dimensions, pixels - 1),
            v0=np.ones(pixels, np.float32),
        )
        order = _paired(len(energy))
        energy = np.maximum(energy, ENERGY_FLOOR * energy.max())[::-1][order]
        components = np.ascontiguousarray(vectors[:, ::-1][:, order])
        return cls(components, energy.astype(np.float32) ** np.float32(0.25))

    def rows(self, images: tf.Tensor) -> tf.Tensor:
        """Rows ``[n, d]`` of normalised key images ``[n, H, W]``."""
        flat = tf.reshape(images, [-1, self.components.shape[0]])
        return tf.matmul(flat, self.components) * self.scale

    def queries(self, images: tf.Tensor) -> tf.Tensor:
        """Queries ``[n, d]`` of normalised images ``[n, H, W]``, to be multiplied with rows."""
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


def _sample(keys: np.ndarray, radius: int, generator: np.random.Generator) -> np.ndarray:
    """Normalised keys in random shifts, float32 ``[m, H·W]``."""
    moves = shifts(radius)
    keys = keys[np.sort(generator.permutation(len(keys))[:SAMPLE])]
    repeats = max(1, min(len(moves), SAMPLE // len(keys)))
    order = np.stack([generator.permutation(len(moves))[:repeats] for _ in keys])
    return np.concatenate(
        [_flat(keys[np.any(order == s, axis=1)], tuple(m)) for s, m in enumerate(moves)]
    )


def _paired(count: int) -> np.ndarray:
    """The first with the last, the second with the last but one, …: ``0, n-1, 1, n-2, …``.

    ScaNN codes two dimensions in four bits; a strong one beside a weak one uses them best
    (the balancing of T. Ge et al., "Optimized Product Quantization", CVPR 2013).
    """
    both = np.stack([np.arange(count), np.arange(count)[::-1]], axis=1)
    return both.ravel()[:count]


def _flat(keys: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    images = normalise(shifted(tf.constant(keys), shift))
    flat: np.ndarray = tf.reshape(images, [len(keys), -1]).numpy()
    return flat
