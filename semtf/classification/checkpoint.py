"""What a killed training goes on from: weights, optimizer, learning rate and history."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from semtf.errors import InputError

CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"


class Checkpoint(keras.callbacks.Callback):
    """Write all variables into one ``.npz`` after every epoch; remove it when training ends."""

    def __init__(self, model: keras.Model, folder: Path) -> None:
        super().__init__()
        # A compiled model counts its metrics among its variables; they start afresh every epoch.
        metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
        states = [*model.variables, *model.optimizer.variables]
        self.variables = [variable for variable in states if id(variable) not in metrics]
        self.path = folder / CHECKPOINT
        self.history = folder / HISTORY

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write atomically: a kill at any instant leaves the old or the new checkpoint."""
        arrays: dict[str, Any] = {f"{i:04d}": np.asarray(v) for i, v in enumerate(self.variables)}
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, epochs=np.int64(epoch + 1), **arrays)
        temporary.replace(self.path)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.path.unlink(missing_ok=True)

    def restore(self) -> int:
        """Read the last checkpoint into the variables; epochs done, 0 where there is none.

        The history is cut to those epochs: a kill may fall between its row and the checkpoint.

        Raises:
            InputError: the checkpoint belongs to another network.
        """
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as arrays:
            shapes = [arrays[name].shape for name in arrays.files if name != "epochs"]
            if shapes != [tuple(variable.shape) for variable in self.variables]:
                raise InputError(f"{self.path}: of another network; delete it to start again")
            for i, variable in enumerate(self.variables):
                variable.assign(arrays[f"{i:04d}"])
            done = int(arrays["epochs"])
        lines = self.history.read_text(encoding="utf-8").splitlines(keepends=True)
        self.history.write_text("".join(lines[: done + 1]), encoding="utf-8")
        return done


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
