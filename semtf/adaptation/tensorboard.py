"""What TensorBoard shows of a training: scalars, image grids and percentile histograms."""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.epoch_selection import CRITERION_LOG
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.network_scale import FULL_SCALE
from semtf.data.sampling import spread

LOGS = "logs"
IMAGES_IN_GRID, IMAGES_IN_HISTOGRAM = 4, 64
PERCENTILES = (5, 25, 50, 75, 95)

Gray = npt.NDArray[np.uint8]


class TensorBoardSummaries(keras.callbacks.Callback):
    """Write summaries of every epoch into ``logs/``; its images are those of the averages.

    Scalars are the losses, the learning rate and the criterion. The grids show an image, its
    translation and its way back in each row: S → T → S and T → S → T. The histograms show how a
    percentile of an image is spread over the images of a domain, real and translated ones.
    Where there is no generator back, only S → T is shown.

    Args:
        simulator: the pairs of the case.
        fab: the fab's images of the case.
        folder: where ``logs/`` goes.
    """

    def __init__(self, simulator: SimulatorSet, fab: FabSet, folder: Path) -> None:
        super().__init__()
        source = np.rint(simulator.mean_sem(spread(len(simulator), IMAGES_IN_HISTOGRAM)))
        self.source = source.astype(np.uint8)
        self.target = fab.images[spread(len(fab), IMAGES_IN_HISTOGRAM)]
        self.writer = tf.summary.create_file_writer(str(folder / LOGS))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.model.averaged(), self.writer.as_default(step=epoch + 1):
            self._scalars(logs or {})
            to_target, *back = self.model.translators
            fake = to_target.adapt(self.source)
            again = [g.adapt(fake[:IMAGES_IN_GRID]) for g in back]
            _grid("S to T to S", self.source, fake, *again)
            _histograms("target", fab=self.target, translated=fake)
            for to_source in back:
                fake = to_source.adapt(self.target)
                _grid("T to S to T", self.target, fake, to_target.adapt(fake[:IMAGES_IN_GRID]))
                _histograms("source", simulator=self.source, translated=fake)
        self.writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.writer.close()

    def _scalars(self, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            if name.startswith(CRITERION_LOG):
                tf.summary.scalar(f"criterion/{name.removeprefix(CRITERION_LOG)}", value)
            else:
                tf.summary.scalar(f"loss/{name}", value)
        tf.summary.scalar("learning rate", self.model.optimizer.learning_rate)


def _grid(name: str, *columns: Gray) -> None:
    """Show images side by side: one of each of ``columns`` in a row of the grid."""
    rows = zip(*(images[:IMAGES_IN_GRID] for images in columns), strict=True)
    grid = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
    tf.summary.image(name, grid[None, ..., None].astype(np.float32) / FULL_SCALE)


def _histograms(domain: str, **groups: Gray) -> None:
    """Show how each percentile of an image is spread over the images of each group."""
    for group, images in groups.items():
        values = np.percentile(images.reshape(len(images), -1), PERCENTILES, axis=1)
        for percentile, column in zip(PERCENTILES, values, strict=True):
            tf.summary.histogram(f"{domain} percentile {percentile}/{group}", column)
