"""Normalisation of the networks: by TensorFlow Addons in the classic set, by Keras in the other.

Weights, their order and the layout of their files are the same in both.
"""

from semtf.backend.checked_keras import keras
from semtf.backend.installed import is_classic


def instance_normalization() -> keras.layers.Layer:
    """Mean 0 and variance 1 of every channel of an image, then a gain and an offset."""
    if is_classic():
        from semtf.backend import addons

        return addons.InstanceNormalization()
    return keras.layers.GroupNormalization(groups=-1)


def group_normalization(groups: int) -> keras.layers.Layer:
    """Mean 0 and variance 1 of every group of channels of an image, then gains and offsets."""
    if is_classic():
        from semtf.backend import addons

        return addons.GroupNormalization(groups=groups)
    return keras.layers.GroupNormalization(groups=groups)


def spectral_normalization(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer whose kernel is divided by its largest singular value at every training step."""
    if is_classic():
        from semtf.backend import addons

        return addons.SpectralNormalization(layer)
    return keras.layers.SpectralNormalization(layer)
