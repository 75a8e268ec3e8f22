"""TensorFlow Addons, with the names and the layout of files that Keras 3 has for the same.

Only the classic set has TensorFlow Addons, and only there this module can be imported.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.backend.computation import require_tensorflow
from semtf.backend.quiet import imported

require_tensorflow()
tfa: Any = imported("tensorflow_addons")

# A layer's class names it in a file of weights, and Keras has one class for groups of any size.
GroupNormalization: Any = type("GroupNormalization", (tfa.layers.GroupNormalization,), {})
InstanceNormalization: Any = type("GroupNormalization", (tfa.layers.InstanceNormalization,), {})


class SpectralNormalization(tfa.layers.SpectralNormalization):
    """Addons' wrapper; its file holds the vector alone, as the kernel is stored with its layer."""

    def save_own_variables(self, store: Any) -> None:
        """Write the singular vector, ``[1, channels]``."""
        store["0"] = self.u.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read the singular vector, ``[1, channels]``."""
        self.u.assign(store["0"])


class AdamW(tfa.optimizers.AdamW):
    """Addons' optimizer, whose decay of the weights follows the rate as that of Keras does."""

    def __init__(self, learning_rate: float, weight_decay: float) -> None:
        super().__init__(lambda: weight_decay * self.learning_rate, learning_rate)

    def build(self, variables: Sequence[tf.Variable]) -> None:
        """Make the slots of the variables."""
        self._create_all_weights(variables)


class MovingAverage(tfa.optimizers.MovingAverage):
    """Addons' moving average, of weights that other optimizers change.

    As a wrapper it would average what its own optimizer trains, and a generator also has weights
    that no optimizer trains.
    """

    def __init__(self, decay: float) -> None:
        super().__init__("sgd", decay, dynamic_decay=True)

    def update(
        self, average: Sequence[tf.Variable], weights: Sequence[tf.Tensor], step: tf.Tensor
    ) -> None:
        """Move averages towards weights, the nearer the fewer steps were taken."""
        state = {"tfa_ma_decay": self._get_decay(step)}
        for mean, weight in zip(average, weights, strict=True):
            self.average_op(weight, mean, state)


def translated(images: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    """Images ``[n, H, W, c]`` moved by ``[n, 2]`` or ``[2]`` pixels (rows, columns)."""
    return tfa.image.translate(images, tf.reverse(shifts, [-1]), "nearest", "nearest")


def cohen_kappa(true: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> float:
    """Addons' coefficient of agreement of two classifications ``[n]`` in numbers from 0."""
    metric = tfa.metrics.CohenKappa(classes, sparse_labels=True)
    metric.update_state(np.asarray(true), np.asarray(predicted))
    return float(metric.result())
