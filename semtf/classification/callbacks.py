"""A classifier's state in training, the limit on its time, and the rate that a plateau halves."""

from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from semtf.backend import optimizers
from semtf.backend.seeds import random_states
from semtf.budget import EpochClock
from semtf.config import ClassificationConfig


def state(model: keras.Model) -> list[Any]:
    """Every variable of a compiled model that later training depends on, in a fixed order."""
    # A compiled model counts its metrics among its variables; they start afresh every epoch.
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    variables = [*model.variables, *random_states([model]), *optimizers.variables(model.optimizer)]
    return [variable for variable in variables if id(variable) not in metrics]


class TimeLimit(keras.callbacks.Callback):
    """End a training with the last epoch that fits into a number of seconds, at least the first.

    Attributes:
        affordable: epochs that still fit after the last one, if they take as long as it did.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._clock = EpochClock(seconds)
        self.affordable = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._clock.begin_epoch()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.affordable = self._clock.affordable()
        if not self.affordable:
            self.model.stop_training = True


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Halve the learning rate on a plateau, knowing the epochs before a resume.

    Attributes:
        end: how many epochs there will be.
        status: nothing to tell.
    """

    status = ""

    def __init__(self, config: ClassificationConfig, history: Path, *, monitor: str) -> None:
        """Watch a training.

        Args:
            config: the rate of the first epoch, the patience and the number of epochs.
            history: the CSV file whose rows are the epochs already done, if it is there.
            monitor: the column that should fall.
        """
        super().__init__(monitor, factor=0.5, patience=config.patience)
        self.rate, self.end, self.history = config.learning_rate, config.epochs, history

    def variables(self) -> list[tf.Variable]:
        """What it goes on from after a kill, beside the history: nothing."""
        return []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        optimizers.name_rate(logs)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        if self.history.exists():
            self.model.optimizer.learning_rate = self.rate
            for epoch, value in enumerate(pd.read_csv(self.history)[self.monitor]):
                self.on_epoch_end(epoch, {self.monitor: value})
