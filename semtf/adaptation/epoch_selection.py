"""Which epoch's generators are kept: every epoch is judged without labels."""

import csv
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.criterion import KEYS, QUERIES, Comparison, Criterion, compare
from semtf.adaptation.gan import GAN
from semtf.adaptation.mean_matching import mean_image
from semtf.adaptation.plausibility import doubts
from semtf.adaptation.schedule import Schedule
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.sampling import spread, whole_sites
from semtf.progress import warn

TABLE = "criterion.csv"
CHOICE = "choice.json"
CRITERION_LOG = "criterion_"
MARGIN = 0.02
"""Scores of epochs that differ by less than this share are taken for equal."""
LINES_BEFORE = 2
"""Lines of the table before the first epoch's: the header, and the row of no adaptation."""

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
        keys, queries = spread(len(simulator), KEYS), whole_sites(fab.sites, len(fab), QUERIES)
        self.sem = simulator.mean_sem(keys)
        self.fab = fab.images[queries]
        self.sites = fab.sites[queries]
        self.mean = mean_image(fab)
        self.depth = simulator.depth[keys]
        self.average_depth = None if average_depth is None else average_depth[queries]
        self.plate = int(self.depth.max())
        self.case = fab.case

    def __call__(self, adapted: npt.NDArray[np.uint8]) -> Criterion:
        """The criterion of ``sem``, adapted to uint8 or float ``[n, H, W]``."""
        return self.compare(adapted).criterion

    def compare(self, adapted: npt.NDArray[np.uint8]) -> Comparison:
        """The criterion of ``sem``, adapted, and what each image of ``fab`` gives to it."""
        return compare(
            self.sem,
            adapted,
            self.fab,
            depth=self.depth,
            average_depth=self.average_depth,
            plate=self.plate,
        )


class EpochSelection(keras.callbacks.Callback):
    """Judge the generators' averages after every epoch, tell the schedule, and keep the best.

    Of epochs whose scores are equal, within `MARGIN` of the smallest, the latest is the best: its
    average has the lowest learning rates in it. With ``adaptation.epoch="last"`` the last one is.

    Every epoch becomes a row of ``criterion.csv``, epoch 0 being no adaptation, and the logs of
    its end get the parts of the criterion as ``criterion_score`` and so on.
    """

    def __init__(
        self,
        network: GAN,
        average: MovingAverage,
        evaluator: CriterionEvaluator,
        folder: Path,
        schedule: Schedule,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.network = network
        self.average = average
        self.evaluator = evaluator
        self.folder = folder
        self.best = [tf.Variable(v, trainable=False) for v in average.average]
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._score = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self._smallest = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self.unadapted = evaluator(np.rint(evaluator.sem).astype(np.uint8))

    @property
    def epoch(self) -> int:
        """The best epoch so far, from 1; 0 before there is one."""
        # A variable made under a strategy is no number to Python; its tensor is.
        return int(tf.convert_to_tensor(self._epoch))

    @property
    def score(self) -> float:
        """The criterion of that epoch."""
        return float(tf.convert_to_tensor(self._score))

    def variables(self) -> list[tf.Variable]:
        """What the choice goes on from after a kill."""
        return [*self.best, self._epoch, self._score, self._smallest]

    def begin(self) -> None:
        """Start the table with the criterion of no adaptation."""
        with (self.folder / TABLE).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)
        self._write(0, self.unadapted)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.average.applied():
            comparison = self._compared()
        result = comparison.criterion
        self._write(epoch + 1, result)
        self.schedule.judged(epoch + 1, comparison.residuals)
        if logs is not None:
            logs |= {f"{CRITERION_LOG}{name}": value for name, value in result.parts().items()}
        smallest = min(result.score, float(tf.convert_to_tensor(self._smallest)))
        self._smallest.assign(smallest)
        last = self.network.config.epoch == "last"
        if last or result.score <= (1 + MARGIN) * smallest:
            self._score.assign(result.score)
            self._epoch.assign(epoch + 1)
            for best, average in zip(self.best, self.average.average, strict=True):
                best.assign(average)

    def helps(self) -> bool:
        """Whether some epoch was better than no adaptation."""
        return self.score < self.unadapted.score

    def apply(self, stopped: str | None) -> None:
        """Put the averages of the best epoch into the generators, and write which epoch it is.

        Args:
            stopped: what went wrong; None where nothing did.
        """
        weights = [weight for model in self.network.generators for weight in model.weights]
        for weight, best in zip(weights, self.best, strict=True):
            weight.assign(best)
        comparison = self._compared()
        warnings = doubts(comparison)
        for doubt in warnings:
            warn(f"case {self.evaluator.case}: {doubt}")
        note = {
            "epoch": self.epoch,
            "score": self.score,
            "stopped": stopped,
            "ended": self.schedule.reason,
            "warnings": warnings,
        }
        (self.folder / CHOICE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

    def _compared(self) -> Comparison:
        """What a run with these generators would store, compared with the fab's images."""
        evaluator = self.evaluator
        return evaluator.compare(self.network.adapted(evaluator.sem, evaluator.mean))

    def _write(self, epoch: int, result: Criterion) -> None:
        values = dataclasses.astuple(result)
        with (self.folder / TABLE).open("a", newline="", encoding="utf-8") as file:
            row = ["" if value is None else f"{value:.6g}" for value in values]
            csv.writer(file, lineterminator="\n").writerow([epoch, *row])
