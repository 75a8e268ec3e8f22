"""Images moved by whole pixels, the edge that they leave replicated."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.backend.installed import is_classic


def translated(images: tf.Tensor, shift: tuple[int, int]) -> tf.Tensor:
    """Images ``[n, H, W]`` moved by one shift (rows, columns)."""
    if is_classic():
        from semtf.backend import addons

        moved = addons.translated(images[..., tf.newaxis], tf.constant(shift, tf.float32))
        return moved[..., 0]
    for axis, step in enumerate(shift, start=1):
        images = _along(images, int(step), axis)
    return images


def _along(images: tf.Tensor, step: int, axis: int) -> tf.Tensor:
    """Images moved by ``step`` pixels along one axis."""
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


def each_translated(
    images: npt.NDArray[np.uint8], shifts: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """Images uint8 ``[n, …, H, W]``, each moved by its shift ``[n, 2]`` (rows, columns)."""
    rows, columns = images.shape[-2:]
    if is_classic():
        from semtf.backend import addons

        flat = images.reshape(len(images), -1, rows, columns).transpose(0, 2, 3, 1)
        moved = addons.translated(tf.constant(flat), tf.constant(shifts, tf.float32)).numpy()
        return moved.transpose(0, 3, 1, 2).reshape(images.shape)
    most = int(np.abs(shifts).max(initial=0))
    margin = [(0, 0)] * (images.ndim - 2) + [(most, most)] * 2
    padded = np.pad(images, margin, mode="edge")
    moved = np.empty_like(images)
    for image, wide, (row, column) in zip(moved, padded, most - shifts, strict=True):
        image[...] = wide[..., row : row + rows, column : column + columns]
    return moved
