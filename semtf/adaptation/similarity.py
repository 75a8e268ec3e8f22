"""How like adapted images are to fab images: nearest ones, and what they cannot rebuild."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]

RADIUS = 2
"""Largest shift in pixels, in rows and columns, between a fab image and its nearest key."""

NEIGHBOURS, RIDGE = 128, 0.03
"""How many of the nearest keys rebuild a fab image, and the ridge of the fit.

The ridge is a share of the keys' mean square; it keeps keys from rebuilding the fab's noise.
"""


def nearest_keys(images: Floats, keys: Floats) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """The most similar keys of each image, over shifts of up to `RADIUS` pixels.

    Args:
        images: ``[m, H, W]``.
        keys: ``[n, H, W]``.

    Returns:
        Each image in its shift towards the most similar key, normalised, ``[m, H·W]``; its
        correlation with that key, ``[m]``; the indices of up to `NEIGHBOURS` keys, ``[m, k]``,
        by their largest correlation over the shifts, the most similar one first.
    """
    height, width = images.shape[1:]
    padded = np.pad(images, [(0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)], mode="edge")
    vectors = tf.constant(_normalise(keys))
    best = tf.fill([len(images), len(keys)], -np.inf)
    top = np.full(len(images), -np.inf, np.float32)
    aligned = np.zeros((len(images), height * width), np.float32)
    for down in range(2 * RADIUS + 1):
        for right in range(2 * RADIUS + 1):
            moved = _normalise(padded[:, down : down + height, right : right + width])
            similarity = tf.matmul(moved, vectors, transpose_b=True)
            best = tf.maximum(best, similarity)
            value = tf.reduce_max(similarity, axis=1).numpy()
            better = value > top
            top[better], aligned[better] = value[better], moved[better]
    order = tf.math.top_k(best, min(NEIGHBOURS, len(keys))).indices.numpy().astype(np.int64)
    return aligned, top, order


def reconstruction_residuals(aligned: Floats, keys: Floats, order: npt.NDArray[np.int64]) -> Floats:
    """What a ridge regression on the nearest keys leaves of each image's mean square, ``[m]``.

    Args:
        aligned: normalised images, ``[m, H·W]``.
        keys: ``[n, H, W]``.
        order: indices of each image's keys, ``[m, k]``.
    """
    vectors = tf.constant(_normalise(keys))
    gram = tf.matmul(vectors, vectors, transpose_b=True)
    products = tf.matmul(aligned, vectors, transpose_b=True)
    squares = tf.gather(tf.gather(gram, order), order, axis=2, batch_dims=1)
    mixed = tf.gather(products, order, batch_dims=1)[..., tf.newaxis]
    ridge = RIDGE * tf.eye(order.shape[1])
    weights = tf.linalg.solve(squares + ridge, mixed)
    # |a − Kw|² = |a|² − 2 w·Ka + w·KKᵀw, where |a|² = 1.
    fitted = tf.reduce_sum(weights * tf.matmul(squares, weights), axis=[1, 2])
    left: Floats = (1 - 2 * tf.reduce_sum(weights * mixed, axis=[1, 2]) + fitted).numpy()
    return left


def _normalise(images: Floats) -> Floats:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
