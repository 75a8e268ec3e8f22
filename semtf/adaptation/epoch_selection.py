"""Which epoch's generators are kept: every epoch is judged without labels."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.base import Adapter, Generated
from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.criterion import KEYS, QUERIES, Criterion, criterion, spread
from semtf.adaptation.gan import GAN
from semtf.config import plate_level
from semtf.data.image_sets import FabSet, SimulatorSet

TABLE = "criterion.csv"
CHOICE = "choice.json"
LINES_BEFORE = 2
"""Lines of the table before the first epoch's: the header, and what no adaptation gets."""

COLUMNS = ("epoch", *(field.name for field in dataclasses.fields(Criterion)))


class CriterionEvaluator:
    """The criterion of one case's data, for any images its simulator images are adapted to.

    Args:
        simulator: the pairs of the case.
        fab: the fab's images of the case.
        average_depth: average depth of each fab image's site, ``[m]``, NaN where unknown.
    """

    def __init__(
        self,
        simulator: SimulatorSet,
        fab: FabSet,
        average_depth: npt.NDArray[np.float64] | None = None,
    ) -> None:
        rows, queries = spread(len(simulator), KEYS), spread(len(fab), QUERIES)
        self.sem = simulator.mean_sem(rows)
        self.fab = fab.images[queries]
        self.depth = simulator.depth[rows]
        self.average_depth = None if average_depth is None else average_depth[queries]
        self.plate = plate_level(fab.case)

    def __call__(self, adapted: npt.NDArray[np.uint8]) -> Criterion:
        """The criterion of ``sem``, adapted to uint8 or float ``[n, H, W]``."""
        return criterion(
            self.sem,
            adapted,
            self.fab,
            depth=self.depth,
            average_depth=self.average_depth,
            plate=self.plate,
        )


class EpochSelection(keras.callbacks.Callback):
    """Judge the generators' averages after every epoch and keep the best.

    Every epoch becomes a row of ``criterion.csv``, epoch 0 being no adaptation.
    """

    def __init__(
        self, network: GAN, average: MovingAverage, evaluator: CriterionEvaluator, folder: Path
    ) -> None:
        super().__init__()
        self.network = network
        self.average = average
        self.evaluator = evaluator
        self.folder = folder
        self.adapter = Generated(network.to_target)
        self.best = [tf.Variable(v, trainable=False) for v in average.average]
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.score = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self.none = evaluator(np.rint(evaluator.sem).astype(np.uint8))
        self.last: Criterion | None = None

    def variables(self) -> list[tf.Variable]:
        """What the choice goes on from after a kill."""
        return [*self.best, self.epoch, self.score]

    def begin(self) -> None:
        """Start the table with the criterion of no adaptation."""
        with (self.folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)
        self._write(0, self.none)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.average.applied():
            self.last = self.evaluator(self.adapter.adapt(self.evaluator.sem))
        self._write(epoch + 1, self.last)
        if self.last.score < float(self.score):
            self.score.assign(self.last.score)
            self.epoch.assign(epoch + 1)
            for best, average in zip(self.best, self.average.average, strict=True):
                best.assign(average)

    def helps(self) -> bool:
        """Whether some epoch was better than no adaptation."""
        return float(self.score) < self.none.score

    def take(self, stopped: str | None) -> None:
        """Put the best averages into the generators, and write down which epoch they are of.

        Args:
            stopped: why training ended early; None where it did not.
        """
        weights = [weight for model in self.network.generators for weight in model.weights]
        for weight, best in zip(weights, self.best, strict=True):
            weight.assign(best)
        note = {"epoch": int(self.epoch), "score": float(self.score), "stopped": stopped}
        (self.folder / CHOICE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

    def _write(self, epoch: int, found: Criterion) -> None:
        values = dataclasses.astuple(found)
        with (self.folder / TABLE).open("a", newline="", encoding="utf-8") as file:
            row = ["" if value is None else f"{value:.6g}" for value in values]
            csv.writer(file, lineterminator="\n").writerow([epoch, *row])


class Watch(keras.callbacks.Callback):
    """Show someone the averaged generator after every epoch."""

    def __init__(self, choice: EpochSelection, watch: Callable[[int, Adapter], None]) -> None:
        super().__init__()
        self.choice = choice
        self.watch = watch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.choice.average.applied():
            self.watch(epoch + 1, self.choice.adapter)
