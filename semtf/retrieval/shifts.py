"""Shifts of images by whole pixels, and the adjoint of each shift.

The shift convention of the whole package: an image shifted by ``(dr, dc)`` is
``shifted[r, c] = image[r - dr, c - dc]`` with the source clamped to the image, so content moves
down by ``dr`` rows and right by ``dc`` columns and the edges are replicated. They wrap around only
where ``edges="wrap"`` asks for it. A depth value moves by the same shift as its key.
"""

import numpy as np
import tensorflow as tf

from semtf.backend.images import translated
from semtf.config import Edges


def shifts(radius: int) -> np.ndarray:
    """Every shift of up to ``radius`` pixels: int32 ``[(2·radius + 1)², 2]``, (rows, columns)."""
    steps = np.arange(-radius, radius + 1, dtype=np.int32)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def shifted(images: tf.Tensor, shift: tuple[int, int], edges: Edges = "replicate") -> tf.Tensor:
    """Images ``[n, H, W]`` moved by one shift (rows, columns) in pixels."""
    if edges == "wrap":
        return tf.roll(images, shift, [1, 2])
    return translated(images, shift)


def adjoint_shifts(images: tf.Tensor, radius: int, edges: Edges = "replicate") -> tf.Tensor:
    """The adjoint of every shift: ``<shifted(key, s), image> = <key, adjoint(image)[s]>``.

    With it one matrix product compares an image with all shifts of a key, from the unshifted key.

    Args:
        images: float32 ``[n, H, W]``.
        radius: largest shift in pixels.
        edges: those of the shifts.

    Returns:
        float32 ``[n, S, H, W]`` in the order of `shifts`.
    """
    if edges == "wrap":
        return tf.stack([tf.roll(images, -move, [1, 2]) for move in shifts(radius)], axis=1)
    steps = range(-radius, radius + 1)
    shape = images.shape[1:]
    along_rows = tf.stack([_adjoint_along(images, step, 1) for step in steps], axis=1)
    along_rows = tf.reshape(along_rows, [-1, *shape])
    along_both = tf.stack([_adjoint_along(along_rows, step, 2) for step in steps], axis=1)
    return tf.reshape(along_both, [-1, len(steps) ** 2, *shape])


def _adjoint_along(images: tf.Tensor, step: int, axis: int) -> tf.Tensor:
    """The adjoint of a shift along one axis.

    Pixels into which the shift copies an edge are summed into that edge; pixels that the shift
    pushes out of the image become zero.
    """
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
