"""Random changes of a training image that leave its case as it is.

Brightness and contrast are never touched: they are what tells the cases apart.
"""

import tensorflow as tf

from semtf.config import ClassificationConfig
from semtf.data.network_scale import FULL_SCALE
from semtf.data.pipelines import Augmentation


def augmentation(config: ClassificationConfig) -> Augmentation:
    """The flips and shifts of a config, for `semtf.data.pipelines.labelled`."""
    return Augmentation(flip_rows=config.flip, flip_columns=config.flip, shift=config.shift)


def with_noise(
    data: tf.data.Dataset, noise: float, *, seed: int, start: int = 0
) -> tf.data.Dataset:
    """Add Gaussian noise to labelled batches, drawn from the seed and the step alone.

    Args:
        data: ``(float32 [batch, height, width, 1] in [-1, 1], labels)``.
        noise: standard deviation in grey levels; 0 leaves ``data`` as it is.
        seed: of the noise.
        start: the step that ``data`` begins with.
    """
    if not noise:
        return data

    def add(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        drawn = tf.random.stateless_normal(tf.shape(images), tf.stack([seed, step]))
        return images + drawn * (noise * 2 / FULL_SCALE), labels

    return data.enumerate(start).map(add, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
