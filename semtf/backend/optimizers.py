"""Optimizers, their variables, and moving averages of weights."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from semtf.backend.checked_keras import keras
from semtf.backend.installed import is_classic

Average = Callable[[Sequence[tf.Variable], Sequence[tf.Tensor], tf.Tensor], None]
"""From averages, weights and the number of steps taken: moves the averages."""


def adamw(learning_rate: float, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW; in a step the weights decay by ``weight_decay`` times the rate of that step."""
    if is_classic():
        from semtf.backend import addons

        return addons.AdamW(learning_rate, weight_decay)
    return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)


def variables(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """An optimizer's variables, its learning rate among them."""
    found = optimizer.variables
    if not callable(found):
        return list(found)
    listed = list(found())
    # Optimizers of TensorFlow 1's kind, as Addons has, keep the rate apart.
    known = {id(variable) for variable in listed}
    rate = optimizer.learning_rate
    return listed if id(rate) in known else [*listed, rate]


def learning_rates(optimizer: Any) -> list[tf.Variable]:
    """The variables among an optimizer's that callbacks change: rates that follow no schedule."""
    return [v for v in variables(optimizer) if v.name.startswith("learning_rate")]


def name_rate(logs: dict[str, float] | None) -> None:
    """Let the logs of an epoch have the rate as ``learning_rate``; callbacks of Keras 2 add ``lr``.

    It keeps its place, which is that of its column in a history.
    """
    if logs and "lr" in logs:
        logs["learning_rate"] = logs.pop("lr")


class Rate(float):
    """The rate of an optimizer as callbacks of Keras 2 take it: a variable that has a value."""

    dtype = tf.float32

    def __new__(cls, optimizer: Any) -> "Rate":
        """The rate that ``optimizer.learning_rate`` has now."""
        return super().__new__(cls, tf.convert_to_tensor(optimizer.learning_rate))

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def assign(self, value: float) -> None:
        """Set the optimizer's rate."""
        self._optimizer.learning_rate = float(value)


def moving_average(decay: float) -> Average:
    """The update ``average ← d · average + (1 − d) · weights`` of exponential moving averages.

    d grows with the step n as ``min(decay, (1 + n)/(10 + n))``.
    """
    if is_classic():
        from semtf.backend import addons

        return addons.MovingAverage(decay).update

    def update(
        average: Sequence[tf.Variable], weights: Sequence[tf.Tensor], step: tf.Tensor
    ) -> None:
        number = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(decay, (1 + number) / (10 + number))
        for mean, weight in zip(average, weights, strict=True):
            mean.assign_sub(tf.cast(share, mean.dtype) * (mean - tf.cast(weight, mean.dtype)))

    return update
