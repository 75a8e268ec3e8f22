"""Keras callbacks of the adversarial training: average, divergence, progress."""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from semtf.adaptation.gan import GAN
from semtf.backend.optimizers import moving_average
from semtf.errors import TrainingError
from semtf.progress import Advance

VANISHED = 1e-3
"""A penalty so near to 1 all through an epoch means that the critics' slope is 0 everywhere."""


class MovingAverage(keras.callbacks.Callback):
    """Exponential moving average of the generators' weights.

    WGAN-GP's generators wander around their best; their average does not:
    ``average ← d · average + (1 − d) · weights``, where d grows with the step n as
    ``min(decay, (1 + n)/(10 + n))``, so that the first weights are soon forgotten
    (`semtf.backend.optimizers.moving_average`).
    """

    def __init__(self, network: GAN, decay: float) -> None:
        super().__init__()
        self.network = network
        self._update = _traced_average(decay)
        self.average = [tf.Variable(v, trainable=False) for v in self._weights()]
        network.moving_average = self.applied

    def _weights(self) -> list[tf.Variable]:
        return [weight for model in self.network.generators for weight in model.weights]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        weights = [tf.convert_to_tensor(v) for v in self._weights()]
        self._update(self.average, weights, tf.convert_to_tensor(self.network.step))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the generators hold their averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for average, weight in zip(self.average, self._weights(), strict=True):
            trained = tf.identity(weight)
            weight.assign(average)
            average.assign(trained)


@functools.cache
def _traced_average(decay: float) -> Any:
    """The update of averages; one for all trainings, so that later cases need not trace it."""
    return tf.function(moving_average(decay), reduce_retracing=True)


class TerminateOnDivergence(keras.callbacks.Callback):
    """Raise TrainingError, with the reason, where going on is of no use.

    That is so when a loss is NaN or infinite, when the critic exploded, and when the critic is
    dead: its slope, whose norm the penalty holds at 1, is 0 everywhere. The scores that a critic
    of slope 1 gives to two images differ by no more than the images' distance, and no two images
    in [−1, 1] are further apart than ``2·√(H·W)``: a larger difference, or a slope as large, means
    that the critic exploded.
    """

    def __init__(self, size: tuple[int, ...], *, penalised: bool) -> None:
        """Watch a training on images of ``size`` (rows, columns), with or without a penalty."""
        super().__init__()
        self.limit = 2 * math.sqrt(math.prod(size))
        self.penalised = penalised

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        for name, value in logs.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} loss is {value}: lower adaptation.learning_rate, or use "
                    "adaptation.precision=float32"
                )
        for name, limit in (("critic", self.limit), ("penalty", self.limit**2)):
            if abs(logs.get(name, 0.0)) > limit:
                raise TrainingError(
                    f"the critic exploded ({name} {logs[name]:.3g}, at most {limit:.3g} makes "
                    "sense): lower adaptation.learning_rate or raise adaptation.lambda_gp"
                )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.penalised and abs((logs or {})["penalty"] - 1) < VANISHED:
            raise TrainingError(
                "the critic is dead, its gradient is 0 everywhere: lower "
                "adaptation.learning_rate, or use adaptation.critic_norm=instance"
            )


class ProgressReport(keras.callbacks.Callback):
    """Advance a progress bar by every step, and show the epoch's mean losses so far.

    ``status`` tells how many steps there will be, and why training goes on.
    """

    def __init__(self, advance: Advance, status: Callable[[], tuple[int, str]]) -> None:
        super().__init__()
        self.advance = advance
        self.status = status

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        shown = ("critic", "cycle", "identity", "contrast")
        losses = " ".join(f"{k} {v:.3f}" for k, v in (logs or {}).items() if k in shown)
        total, why = self.status()
        self.advance(1, f"{losses}; {why}" if why else losses, total)
