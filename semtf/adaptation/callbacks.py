"""Keras callbacks of the adversarial training: moving average, learning rate, health, progress."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from semtf.adaptation.gan import GAN
from semtf.errors import TrainingError

VANISHED = 1e-3
"""A penalty so near to 1 all through an epoch means that the critics' slope is 0 everywhere."""


class MovingAverage(keras.callbacks.Callback):
    """Exponential moving average of the generators' weights.

    WGAN-GP's generators wander around their best; their average does not:
    ``average ← d · average + (1 − d) · weights``, where d grows with the step n as
    ``min(decay, (1 + n)/(10 + n))``, so that the first weights are soon forgotten.
    """

    def __init__(self, network: GAN, decay: float) -> None:
        super().__init__()
        self.network = network
        self.decay = decay
        self.average = [tf.Variable(v, trainable=False) for v in self._weights()]

    def _weights(self) -> list[tf.Variable]:
        return [weight for model in self.network.generators for weight in model.weights]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = int(self.network.step)
        decay = min(self.decay, (1 + step) / (10 + step))
        weights = [tf.convert_to_tensor(v) for v in self._weights()]
        _average(self.average, weights, tf.constant(decay, tf.float32))

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
            own = tf.identity(weight)
            weight.assign(average)
            average.assign(own)


@tf.function(reduce_retracing=True)
def _average(average: list[tf.Variable], weights: list[tf.Tensor], decay: tf.Tensor) -> None:
    for mean, weight in zip(average, weights, strict=True):
        mean.assign_sub((1.0 - decay) * (mean - tf.cast(weight, mean.dtype)))


class HalveLearningRate(keras.callbacks.Callback):
    """Halve both optimizers' learning rate at the epochs of the config."""

    def __init__(self, network: GAN) -> None:
        super().__init__()
        self.network = network

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        config = self.network.config
        rate = config.learning_rate * 0.5 ** sum(epoch >= at for at in config.halve_at)
        self.network.generator_optimizer.learning_rate = rate
        self.network.critic_optimizer.learning_rate = rate


class TerminateOnDivergence(keras.callbacks.Callback):
    """Raise TrainingError, with the reason, where going on is of no use.

    Watched are losses that are no numbers, a critic that exploded, and one that is dead: its
    slope, whose norm the penalty holds at 1, is 0 everywhere. A critic of slope 1 cannot tell two
    images further apart than they are, and no two images in [−1, 1] are further apart than
    ``2·√(H·W)``: beyond that it has exploded, as it has with a slope as large.
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


class Report(keras.callbacks.Callback):
    """Tell a progress bar of every step, with the losses so far."""

    def __init__(self, advance: Callable[[int, str], None]) -> None:
        super().__init__()
        self.advance = advance

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        shown = ("critic", "cycle", "identity", "contrast")
        self.advance(1, " ".join(f"{k} {v:.3f}" for k, v in (logs or {}).items() if k in shown))
