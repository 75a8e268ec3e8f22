"""The checkpoint that a killed training goes on from: one file, and tables cut to match it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from semtf.backend.checked_keras import keras
from semtf.backend.sets import installed_set
from semtf.disk import probe_room
from semtf.errors import InputError

CHECKPOINT = "checkpoint.npz"
EPOCHS, SET = "epochs", "set"
# What HDF5 adds to a file, and to every variable in it.
FILE_BYTES, VARIABLE_BYTES = 1 << 16, 1 << 12


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a model's weights to ``path``, which ends in ``.weights.h5``: all of them or nothing.

    HDF5 ends the process where the disk fills up beneath it, so `probe_room` comes first.

    Raises:
        OSError: the disk has no room.
    """
    arrays = [np.asarray(variable) for variable in model.weights]
    size = sum(array.nbytes for array in arrays) + VARIABLE_BYTES * len(arrays) + FILE_BYTES
    temporary = path.with_name("partial-" + path.name)
    probe_room(temporary, size)
    model.save_weights(temporary)
    temporary.replace(path)


class Checkpoint(keras.callbacks.Callback):
    """Write variables into one ``.npz`` after every epoch.

    Args:
        variables: all variables that later training depends on, in a fixed order.
        folder: where ``checkpoint.npz`` goes.
        tables: by name of a CSV file in the folder that gains a row an epoch, its number of
            lines before the first epoch's.
    """

    def __init__(self, variables: Sequence[Any], folder: Path, tables: dict[str, int]) -> None:
        super().__init__()
        self.variables = list(variables)
        self.path = folder / CHECKPOINT
        self.tables = {folder / name: lines for name, lines in tables.items()}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write atomically: a kill at any instant leaves the old or the new checkpoint."""
        # NumPy does not take a variable made under a strategy; TensorFlow takes every one.
        arrays: dict[str, Any] = {
            f"{i:04d}": tf.convert_to_tensor(v).numpy() for i, v in enumerate(self.variables)
        }
        temporary = self.path.with_suffix(".tmp")
        try:
            # np.savez of NumPy 1 leaves its archive open where the disk is full.
            with zipfile.ZipFile(temporary, "w") as archive:
                notes = {EPOCHS: epoch + 1, SET: installed_set().name}
                for name, array in {**notes, **arrays}.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        temporary.replace(self.path)

    def restore(self) -> int:
        """Read the last checkpoint into the variables.

        The tables are cut to those epochs: a kill may fall between a row and the checkpoint.

        Returns:
            The number of epochs done, 0 where there is no checkpoint.

        Raises:
            InputError: the checkpoint belongs to other networks, or to the other set of versions.
        """
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as arrays:
            own = installed_set().name
            begun = str(arrays[SET]) if SET in arrays.files else own
            if begun != own:
                raise InputError(
                    f"{self.path}: begun in the {begun} set of versions, whose optimizers differ; "
                    f"go on there, or delete it to start again in the {own} one"
                )
            shapes = [arrays[name].shape for name in arrays.files if name not in (EPOCHS, SET)]
            if shapes != [tuple(variable.shape) for variable in self.variables]:
                raise InputError(f"{self.path}: of another network; delete it to start again")
            for i, variable in enumerate(self.variables):
                variable.assign(arrays[f"{i:04d}"])
            done = int(arrays[EPOCHS])
        for table, lines_before in self.tables.items():
            # As bytes, so that Keras' ends of lines, which are not this system's, stay.
            lines = table.read_bytes().splitlines(keepends=True)
            table.write_bytes(b"".join(lines[: lines_before + done]))
        return done

    def remove(self) -> None:
        """Delete the file, once training has ended and its result is saved."""
        self.path.unlink(missing_ok=True)
