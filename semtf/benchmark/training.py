"""Adapters fitted for the benchmark's sake, kept in a folder and gone on with."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from semtf.adaptation import adapter
from semtf.adaptation.base import Adapter
from semtf.adaptation.gan import GAN
from semtf.adaptation.mean_matching import mean_image
from semtf.adaptation.task import AdaptationTask
from semtf.outputs import replacing

SECONDS = "seconds.txt"
FINISHED = "finished"

Keys = npt.NDArray[np.uint8]


class EpochKeys(keras.callbacks.Callback):
    """Keeps the keys of some epochs, and how many seconds the training took, without this.

    What is kept is the averaged generator's.
    """

    def __init__(self, task: AdaptationTask, folder: Path, epochs: Sequence[int]) -> None:
        super().__init__()
        self.task, self.folder, self.epochs = task, folder, epochs
        self.began = time.perf_counter()
        self.before = seconds(folder)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if not isinstance(self.model, GAN):
            return
        spent = self.before + time.perf_counter() - self.began
        if epoch + 1 in self.epochs:
            with self.model.averaged():
                keys = self.model.adapted(self.task.simulator.mean_sem(), mean_image(self.task.fab))
            with replacing(epoch_file(self.folder, epoch + 1)) as partial, partial.open("wb") as f:
                np.save(f, keys, allow_pickle=False)
            self.began = time.perf_counter() - spent + self.before
        (self.folder / SECONDS).write_text(f"{spent:.1f}\n", encoding="utf-8")


def seconds(folder: Path) -> float:
    """How long the training in a folder took; 0 where nothing was trained epoch by epoch."""
    path = folder / SECONDS
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0


def epoch_file(folder: Path, epoch: int) -> Path:
    """Where the keys of an epoch are kept."""
    return folder / f"keys_{epoch:03d}.npy"


def fitted_adapter(
    task: AdaptationTask,
    folder: Path,
    warm_start: Path | None = None,
    kept: Sequence[int] = (),
) -> tuple[Adapter, float]:
    """The adapter of a task, and the seconds that fitting it took.

    One that was fitted before is read from its folder; one that was interrupted goes on.

    Args:
        task: images and settings.
        folder: of this adapter alone.
        warm_start: folder of another case's, to start from.
        kept: the epochs whose keys are kept.
    """
    if (folder / FINISHED).exists():
        took = float((folder / FINISHED).read_text(encoding="utf-8"))
        return adapter.load(folder, task.image, task.config), took
    folder.mkdir(parents=True, exist_ok=True)
    earlier, began = seconds(folder), time.perf_counter()
    watch = EpochKeys(task, folder, kept)
    watched = dataclasses.replace(task, callbacks=(*task.callbacks, watch))
    fitted = adapter.fit(watched, folder, warm_start)
    took = seconds(folder) or earlier + time.perf_counter() - began
    (folder / FINISHED).write_text(f"{took:.1f}\n", encoding="utf-8")
    return fitted, took
