"""Random changes of a training image that leave its case as it is."""

from collections.abc import Callable

import keras
import keras_cv
import tensorflow as tf

from semtf.data.images import FULL_SCALE


def augmentation(
    shape: tuple[int, int], *, shift: int, flip: bool, noise: float, seed: int
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None:
    """A map over labelled batches, for `tf.data.Dataset.map`; None where it would do nothing.

    Brightness and contrast are left alone: they are what tells the cases apart.

    Args:
        shape: height and width of the images, in pixels.
        shift: largest shift along each axis, in whole pixels; the edge row or column is repeated.
        flip: mirror each image along both axes with probability 1/2 each.
        noise: standard deviation of added Gaussian noise, in grey levels.
        seed: of all random numbers.
    """
    height, width = shape
    layers = []
    if flip:
        layers.append(keras_cv.layers.RandomFlip("horizontal_and_vertical", seed=seed))
    if shift:
        # Nearest-neighbour interpolation: a bilinear one would blur the noise away.
        layers.append(
            keras_cv.layers.RandomTranslation(
                (shift + 0.5) / height,
                (shift + 0.5) / width,
                fill_mode="nearest",
                interpolation="nearest",
                seed=seed + 1,
            )
        )
    if noise:
        layers.append(keras.layers.GaussianNoise(noise * 2 / FULL_SCALE, seed=seed + 2))
    if not layers:
        return None

    def change(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in layers:
            images = layer(images, training=True)
        return tf.ensure_shape(images, [None, height, width, 1]), labels

    return change
