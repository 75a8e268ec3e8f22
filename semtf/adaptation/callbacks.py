"""Keras callbacks of the adversarial training: moving average, checkpoint, progress."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from semtf.adaptation.adversarial import Adversarial
from semtf.errors import InputError

CHECKPOINT = "checkpoint.npz"


class MovingAverage(keras.callbacks.Callback):
    """Exponential moving average of the generators' weights.

    WGAN-GP's generators wander around their best; their average does not. The average starts
    from the first step's weights, ``average ← decay · average + (1 − decay) · weights``.
    """

    def __init__(self, network: Adversarial, decay: float) -> None:
        super().__init__()
        self.network = network
        self.decay = decay
        self.average = [tf.Variable(v, trainable=False) for v in self._weights()]

    def _weights(self) -> list[tf.Variable]:
        return [weight for model in self.network.generators for weight in model.weights]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        _average(self.average, [tf.convert_to_tensor(v) for v in self._weights()], self.decay)

    def swap(self) -> None:
        """Exchange the averages with the generators' own weights; twice is as before."""
        for average, weight in zip(self.average, self._weights(), strict=True):
            own = tf.identity(weight)
            weight.assign(average)
            average.assign(own)


@tf.function(reduce_retracing=True)
def _average(average: list[tf.Variable], weights: list[tf.Tensor], decay: float) -> None:
    for mean, weight in zip(average, weights, strict=True):
        mean.assign_sub((1.0 - decay) * (mean - tf.cast(weight, mean.dtype)))


class Checkpoint(keras.callbacks.Callback):
    """Write everything that training goes on from into one ``.npz``, after every epoch."""

    def __init__(self, network: Adversarial, average: MovingAverage, folder: Path) -> None:
        super().__init__()
        self.variables = [*network.state(), *average.average]
        self.path = folder / CHECKPOINT

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.write(epoch + 1)

    def write(self, epochs: int) -> None:
        """Write atomically: a kill at any instant leaves the old or the new checkpoint."""
        arrays: dict[str, Any] = {f"{i:04d}": np.asarray(v) for i, v in enumerate(self.variables)}
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, epochs=np.int64(epochs), **arrays)
        temporary.replace(self.path)

    def restore(self) -> int:
        """Read the last checkpoint into the variables; epochs done, 0 where there is none."""
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as arrays:
            if len(arrays.files) != len(self.variables) + 1:
                raise InputError(f"{self.path}: written with other networks; delete it to restart")
            for i, variable in enumerate(self.variables):
                variable.assign(arrays[f"{i:04d}"])
            return int(arrays["epochs"])


class Halvings(keras.callbacks.Callback):
    """Halve both optimizers' learning rate at the epochs of the config."""

    def __init__(self, network: Adversarial) -> None:
        super().__init__()
        self.network = network

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        config = self.network.config
        rate = config.learning_rate * 0.5 ** sum(epoch >= at for at in config.halve_at)
        self.network.generator_optimizer.learning_rate = rate
        self.network.critic_optimizer.learning_rate = rate


class Report(keras.callbacks.Callback):
    """Tell a progress bar of every step, with the losses so far."""

    def __init__(self, advance: Callable[[int, str], None]) -> None:
        super().__init__()
        self.advance = advance

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        shown = ("critic", "cycle", "identity", "contrast")
        self.advance(1, " ".join(f"{k} {v:.3f}" for k, v in (logs or {}).items() if k in shown))
