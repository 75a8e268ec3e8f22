"""What TensorBoard shows of a training: scalars, image grids and percentile histograms."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.base import Generated
from semtf.adaptation.callbacks import MovingAverage
from semtf.adaptation.criterion import spread
from semtf.adaptation.epoch_selection import EpochSelection
from semtf.adaptation.gan import GAN
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.images import FULL_SCALE

LOGS = "logs"
SHOWN, COUNTED = 4, 64
"""Images in a grid, and images in a histogram."""

PERCENTILES = (5, 25, 50, 75, 95)

Gray = npt.NDArray[np.uint8]


class TensorBoardSummaries(keras.callbacks.Callback):
    """Write summaries of every epoch into ``logs/``, with the generators' averages.

    Scalars are the losses, the learning rate and the criterion. The grids show an image, its
    translation and its way back in each row: S → T → S and T → S → T. The histograms show how a
    percentile of an image is spread over the images of a domain, real and translated ones.
    Where there is no generator back, only S → T is shown.
    """

    def __init__(
        self,
        network: GAN,
        average: MovingAverage,
        choice: EpochSelection,
        simulator: SimulatorSet,
        fab: FabSet,
        folder: Path,
    ) -> None:
        super().__init__()
        self.network, self.average, self.choice = network, average, choice
        source = np.rint(simulator.mean_sem(spread(len(simulator), COUNTED)))
        self.source = source.astype(np.uint8)
        self.target = fab.images[spread(len(fab), COUNTED)]
        self.generators = [Generated(generator) for generator in network.generators]
        self.writer = tf.summary.create_file_writer(str(folder / LOGS))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.average.applied(), self.writer.as_default(step=epoch + 1):
            self._scalars(logs or {})
            to_target, *back = self.generators
            fake = to_target.adapt(self.source)
            _grid("S to T to S", self.source, fake, *(g.adapt(fake[:SHOWN]) for g in back))
            _histograms("target", fab=self.target, translated=fake)
            for to_source in back:
                fake = to_source.adapt(self.target)
                _grid("T to S to T", self.target, fake, to_target.adapt(fake[:SHOWN]))
                _histograms("source", simulator=self.source, translated=fake)
        self.writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.writer.close()

    def _scalars(self, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            tf.summary.scalar(f"loss/{name}", value)
        tf.summary.scalar("learning rate", self.network.generator_optimizer.learning_rate)
        if self.choice.last is not None:
            for name, value in dataclasses.asdict(self.choice.last).items():
                if value is not None:
                    tf.summary.scalar(f"criterion/{name}", value)


def _grid(name: str, *columns: Gray) -> None:
    """One image of a few rows, a column each of ``columns``."""
    lines = zip(*(images[:SHOWN] for images in columns), strict=True)
    grid = np.concatenate([np.concatenate(line, axis=1) for line in lines], axis=0)
    tf.summary.image(name, grid[None, ..., None].astype(np.float32) / FULL_SCALE)


def _histograms(domain: str, **groups: Gray) -> None:
    for group, images in groups.items():
        values = np.percentile(images.reshape(len(images), -1), PERCENTILES, axis=1)
        for percentile, column in zip(PERCENTILES, values, strict=True):
            tf.summary.histogram(f"{domain} percentile {percentile}/{group}", column)
