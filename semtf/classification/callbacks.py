"""The state that a classifier's training goes on from, and the callback that halves its rate."""

import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd


def state(model: keras.Model) -> list[Any]:
    """Every variable of a compiled model that later training depends on, in a fixed order."""
    # A compiled model counts its metrics among its variables; they start afresh every epoch.
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    variables = [*model.variables, *model.optimizer.variables]
    return [variable for variable in variables if id(variable) not in metrics]


class TimeLimit(keras.callbacks.Callback):
    """End a training with the last epoch that fits into a number of seconds, at least the first."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.began = self.epoch_began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self.began + (now - self.epoch_began) > self.seconds:
            self.model.stop_training = True


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Halve the learning rate on a plateau, knowing the epochs before a resume.

    Args:
        rate: the learning rate of the first epoch.
        history: the CSV file whose rows are the epochs already done, if there is one.
        monitor: the column that should fall.
        patience: epochs without improvement before the rate is halved.
    """

    def __init__(self, rate: float, history: Path | None, *, monitor: str, patience: int) -> None:
        super().__init__(monitor, factor=0.5, patience=patience)
        self.rate = rate
        self.history = history

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        if self.history is not None:
            self.model.optimizer.learning_rate = self.rate
            for epoch, value in enumerate(pd.read_csv(self.history)[self.monitor]):
                self.on_epoch_end(epoch, {self.monitor: value})
