"""Adapters without training: statistics of simulator images are replaced by those of the fab's.

Each is fitted within seconds. They correct tone, brightness, sharpness and noise to different
degrees, but none moves an edge.
"""

import itertools
import json
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.base import FittedAdapter
from semtf.adaptation.registry import register
from semtf.adaptation.task import AdaptationTask
from semtf.autograph import no_autograph
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError
from semtf.json_fields import parse_json

CHUNK = 256
PERCENTILES = np.arange(0, 100.5, 0.5)
SMALLEST = 1e-3
"""Standard deviation, in grey levels, below which values are taken for constant."""

SIGMAS = (1.0, 2.0, 4.0)
"""Standard deviations of the Gaussian pyramid of `AdaIN`, in pixels."""
REACH = 3.0
"""Radius of a Gaussian kernel, in standard deviations."""

Floats = npt.NDArray[np.float32]


@register("none")
class Unchanged(FittedAdapter):
    """No adaptation: the images as they are."""

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return tf.identity(images)

    @classmethod
    def fit(cls, task: AdaptationTask, folder: Path, warm_start: Path | None = None) -> "Unchanged":
        """There is nothing to fit and nothing to write."""
        return cls()

    @classmethod
    def load(cls, folder: Path, image: ImageConfig, config: AdaptationConfig) -> "Unchanged":
        """There is nothing to read."""
        return cls()


class StatisticalAdapter(tf.Module, FittedAdapter):
    """An adapter that is a few arrays; they are saved as ``NAME.npy``.

    Attributes:
        names: the arrays, in the order of the constructor's arguments.
    """

    names: ClassVar[tuple[str, ...]]

    def __init__(self, *arrays: npt.ArrayLike) -> None:
        super().__init__(name=type(self).__name__.lower())
        self.arrays = [
            tf.Variable(np.asarray(array, np.float32), trainable=False, name=name)
            for name, array in zip(self.names, arrays, strict=True)
        ]

    @classmethod
    @abstractmethod
    def from_images(
        cls, simulator: SimulatorSet, fab: FabSet, config: AdaptationConfig
    ) -> "StatisticalAdapter":
        """Take the statistics of both domains, uint8 images of one case."""

    @classmethod
    def fit(
        cls, task: AdaptationTask, folder: Path, warm_start: Path | None = None
    ) -> "StatisticalAdapter":
        """Take the statistics and write them; there is nothing to start from."""
        adapter = cls.from_images(task.simulator, task.fab, task.config)
        adapter.save(folder)
        return adapter

    @property
    def tracked(self) -> tuple[tf.Module, ...]:
        return (self,)

    def save(self, folder: Path) -> None:
        """Write the arrays, and their names and shapes into ``statistics.json``."""
        for name, array in zip(self.names, self.arrays, strict=True):
            np.save(folder / f"{name}.npy", array.numpy(), allow_pickle=False)
        shapes = {n: list(a.shape) for n, a in zip(self.names, self.arrays, strict=True)}
        note = {"adapter": type(self).__name__, "arrays": shapes}
        (folder / "statistics.json").write_text(json.dumps(note) + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls, folder: Path, image: ImageConfig, config: AdaptationConfig
    ) -> "StatisticalAdapter":
        """Read what `save` wrote; raises InputError where it is not there."""
        try:
            note = parse_json((folder / "statistics.json").read_text(encoding="utf-8"))
            arrays = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in cls.names]
            shapes = [note["arrays"][name] for name in cls.names]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(f"{folder}: no {cls.__name__} ({error}); train the case again") from (
                error
            )
        if shapes != [list(array.shape) for array in arrays]:
            raise InputError(f"{folder}: its arrays do not belong together; train the case again")
        return cls(*arrays)


@register("percentile")
class PercentileMatching(StatisticalAdapter):
    """One grey curve for all images: the mean percentiles of one domain become the other's.

    The percentiles 0, 0.5, … 100 of each image are averaged over the images of each domain, and
    grey levels between them are interpolated linearly.
    """

    names = ("source", "target")

    @classmethod
    def from_images(
        cls, simulator: SimulatorSet, fab: FabSet, config: AdaptationConfig
    ) -> "PercentileMatching":
        source, target = (
            np.mean(np.concatenate([_percentiles(part) for part in chunks]), axis=0)
            for chunks in (_sources(simulator), _targets(fab))
        )
        # A curve needs increasing knots, and two of them even where all images are constant.
        source, first = np.unique(source.astype(np.float32), return_index=True)
        return cls(
            np.pad(source, 1, constant_values=(source[0] - 1, source[-1] + 1)),
            np.pad(target[first], 1, mode="edge"),
        )

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        source, target = (tf.convert_to_tensor(array) for array in self.arrays)
        last = tf.shape(source)[0] - 1
        flat = tf.reshape(images, [-1])
        after = tf.clip_by_value(tf.searchsorted(source, flat, side="right"), 1, last)
        low, high = tf.gather(source, after - 1), tf.gather(source, after)
        share = tf.clip_by_value((flat - low) / (high - low), 0.0, 1.0)
        below, above = tf.gather(target, after - 1), tf.gather(target, after)
        return tf.reshape(below + share * (above - below), tf.shape(images))


@register("moment")
class MomentMatching(StatisticalAdapter):
    """Each pixel is shifted and scaled: its mean and spread over all images become the fab's."""

    names = ("source_mean", "source_std", "target_mean", "target_std")

    @classmethod
    def from_images(
        cls, simulator: SimulatorSet, fab: FabSet, config: AdaptationConfig
    ) -> "MomentMatching":
        return cls(*_moments(_sources(simulator)), *_moments(_targets(fab)))

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        source_mean, source_std, target_mean, target_std = self.arrays
        scale = target_std / tf.maximum(source_std, SMALLEST)
        return (images - source_mean) * scale + target_mean


@register("fda")
class FourierAmplitude(StatisticalAdapter):
    """FDA (Yang and Soatto 2020): low frequencies take the fab's amplitude and keep their phase.

    The window is that of the paper, ``|frequency| ≤ floor(β · min(H, W))`` in both axes. The paper
    takes the amplitude of a random target image; here it is the mean amplitude over the fab's
    images, so that the same image always gives the same.
    """

    names = ("amplitude", "window")

    @classmethod
    def from_images(
        cls, simulator: SimulatorSet, fab: FabSet, config: AdaptationConfig
    ) -> "FourierAmplitude":
        total = sum(np.abs(np.fft.fft2(part)).sum(axis=0) for part in _targets(fab))
        height, width = fab.images.shape[1:]
        limit = int(config.fda_beta * min(height, width))
        rows, columns = (np.abs(np.fft.fftfreq(n, 1 / n)) <= limit for n in (height, width))
        return cls(total / len(fab), rows[:, None] & columns)

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        amplitude, window = self.arrays
        spectrum = tf.signal.fft2d(tf.cast(images, tf.complex64))
        scale = amplitude / tf.maximum(tf.abs(spectrum), SMALLEST)
        scale = tf.where(window > 0, scale, 1.0)
        return tf.math.real(tf.signal.ifft2d(spectrum * tf.cast(scale, tf.complex64)))


@register("adain")
class AdaIN(StatisticalAdapter):
    """Adaptive instance normalisation (Huang and Belongie 2017) on the bands of a pyramid.

    The paper normalises the channels of a pretrained network. Here the channels are fixed filters
    that need no weights from elsewhere: the bands of an undecimated Laplacian pyramid, which are
    the differences of the image and of its Gaussian blurs with σ = 1, 2 and 4 pixels, and the
    last blur itself. Their sum is the image, so that no decoder is needed. Each band of each image
    gets the mean and the standard deviation that the band has in the fab's images on average:
    ``σ_fab · (b − μ(b)) / σ(b) + μ_fab``.
    """

    names = ("mean", "std")

    @classmethod
    def from_images(cls, simulator: SimulatorSet, fab: FabSet, config: AdaptationConfig) -> "AdaIN":
        parts = [_statistics(bands(tf.constant(part))) for part in _targets(fab)]
        mean, std = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in range(2))
        return cls(mean.mean(axis=0)[0, 0], std.mean(axis=0)[0, 0])

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        target_mean, target_std = self.arrays
        parts = bands(images)
        mean, std = _statistics(parts)
        normal = (parts - mean) / tf.maximum(std, SMALLEST)
        return tf.reduce_sum(normal * target_std + target_mean, axis=-1)


@no_autograph
def bands(images: tf.Tensor) -> tf.Tensor:
    """The pyramid of `AdaIN`: ``[n, H, W]`` to ``[n, H, W, bands]``, which sum to the images."""
    blurred = [images, *(_blur(images, sigma) for sigma in SIGMAS)]
    between = [fine - coarse for fine, coarse in itertools.pairwise(blurred)]
    return tf.stack([*between, blurred[-1]], axis=-1)


def _blur(images: tf.Tensor, sigma: float) -> tf.Tensor:
    """Gaussian blur of ``[n, H, W]``; the image is continued by its mirror image."""
    radius = round(REACH * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    weights = tf.constant(kernel / kernel.sum(), tf.float32)
    pad = [[0, 0], [radius, radius], [radius, radius], [0, 0]]
    x = tf.pad(images[..., tf.newaxis], pad, "SYMMETRIC")
    x = tf.nn.conv2d(x, tf.reshape(weights, [-1, 1, 1, 1]), 1, "VALID")
    return tf.nn.conv2d(x, tf.reshape(weights, [1, -1, 1, 1]), 1, "VALID")[..., 0]


def _statistics(parts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation of each band of each image, ``[n, 1, 1, bands]``."""
    mean, variance = tf.nn.moments(parts, [1, 2], keepdims=True)
    return mean, tf.sqrt(variance)


def _sources(simulator: SimulatorSet) -> list[Floats]:
    """The simulator's images in chunks, float32 ``[≤ CHUNK, H, W]`` grey levels."""
    return [
        simulator.mean_sem(slice(first, first + CHUNK)) for first in range(0, len(simulator), CHUNK)
    ]


def _targets(fab: FabSet) -> list[Floats]:
    """The fab's images in chunks, float32 ``[≤ CHUNK, H, W]`` grey levels."""
    return [
        fab.images[first : first + CHUNK].astype(np.float32) for first in range(0, len(fab), CHUNK)
    ]


def _percentiles(images: Floats) -> npt.NDArray[np.float64]:
    """Percentiles of each image, ``[n, percentiles]``."""
    flat = images.reshape(len(images), -1)
    percentiles: npt.NDArray[np.float64] = np.percentile(flat, PERCENTILES, axis=1).T
    return percentiles


def _moments(parts: list[Floats]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each pixel over all images, ``[H, W]``."""
    count = sum(len(part) for part in parts)
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / count
    square = sum(np.square(part - mean).sum(axis=0) for part in parts) / count
    return mean, np.sqrt(square)
