"""How far the fab's images are from the simulator's, and what a grey curve can do about it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import wasserstein_distance

from semtf.adaptation.similarity import nearest_keys
from semtf.adaptation.statistical_adapters import PercentileMatching
from semtf.analysis.bootstrap import Groups, interval, replicates
from semtf.analysis.sample import LEVELS, Sample, image_percentiles
from semtf.config import AdaptationConfig
from semtf.data.sampling import spread

KEYS, QUERIES = 600, 150
Floats = npt.NDArray[np.float64]
Stack = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Distance:
    """1-Wasserstein distance between a percentile of simulator images and of fab images.

    Attributes:
        percentile: 0 to 100, of the pixels of an image.
        distance: between the two distributions over images, grey levels.
        low: the lower end of its 95 % interval, by bootstrap over sites and holes.
        high: the upper end.
        after_curve: the distance that is left once one grey curve is applied to the simulator.
    """

    percentile: int
    distance: float
    low: float
    high: float
    after_curve: float


@dataclass(frozen=True)
class GreyCurve:
    """How much of the difference between the domains one grey curve explains, 0 to 1 each.

    Attributes:
        percentiles: of the distances of the percentiles' distributions.
        mean_image: of the root mean square difference of the mean images.
        gradients: of the difference of the mean absolute gradients.
        mismatch: of the mismatch of fab images with their most similar simulator images.
    """

    percentiles: float
    mean_image: float
    gradients: float
    mismatch: float


@dataclass(frozen=True)
class Mismatch:
    """1 − the mean correlation of an image with the most similar simulator image of a hole.

    Attributes:
        own: of simulator images with those of other holes; what equal microscopes would have.
        fab: of fab images with the simulator's.
        after_curve: the same, with one grey curve applied to the simulator's.
    """

    own: float
    fab: float
    after_curve: float


def apply_grey_curve(sample: Sample) -> Stack:
    """The simulator's images under the curve that gives them the fab's mean percentiles."""
    curve = PercentileMatching.from_images(sample.simulator, sample.fab, AdaptationConfig())
    return np.asarray(curve.adapt(sample.sem), np.float32)


def compare(sample: Sample, curved: Stack, seed: int = 0) -> list[Distance]:
    """The distances of all percentiles, with bootstrap intervals."""
    rng = np.random.default_rng(seed)
    sites, holes = Groups(sample.fab.sites), Groups(sample.simulator.bases)
    fab, simulator = sample.fab_percentiles, sample.sem_percentiles

    def drawn() -> Floats:
        return _distances(simulator[holes.draw(rng)], fab[sites.draw(rng)])

    distance, after = _distances(simulator, fab), _distances(image_percentiles(curved), fab)
    low, high = interval(replicates(drawn, 200), sites.count)
    return [
        Distance(level, *(float(values[i]) for values in (distance, low, high, after)))
        for i, level in enumerate(LEVELS)
    ]


def explain(sample: Sample, curved: Stack, distances: list[Distance], m: Mismatch) -> GreyCurve:
    """The share of each difference that the curve removes."""
    fab = np.asarray(sample.fab.images, np.float32)
    mean = fab.mean(axis=0)
    images = [_rms(stack.mean(axis=0) - mean) for stack in (sample.sem, curved)]
    target = gradients(fab)
    slopes = [_rms(gradients(stack) - target) for stack in (sample.sem, curved)]
    return GreyCurve(
        percentiles=_share(
            sum(d.distance for d in distances), sum(d.after_curve for d in distances)
        ),
        mean_image=_share(*images),
        gradients=_share(*slopes),
        mismatch=_share(m.fab, m.after_curve),
    )


def find_mismatch(sample: Sample, curved: Stack) -> Mismatch:
    """Compare fab images, and simulator images of other holes, with simulator images."""
    keys, queries = spread(len(sample.sem), KEYS), spread(len(sample.fab), QUERIES)
    fab = np.asarray(sample.fab.images[queries], np.float32)
    held_out = keys[:: max(2, len(keys) // QUERIES)]
    others = np.setdiff1d(keys, held_out)
    return Mismatch(
        own=_mismatch(sample.sem[held_out], sample.sem[others]),
        fab=_mismatch(fab, sample.sem[keys]),
        after_curve=_mismatch(fab, curved[keys]),
    )


def gradients(images: Stack) -> Floats:
    """Mean absolute differences of neighbouring pixels: down the rows, along the columns."""
    return np.array([np.abs(np.diff(images, axis=axis)).mean() for axis in (1, 2)], np.float64)


def _distances(first: Floats, second: Floats) -> Floats:
    return np.array([wasserstein_distance(a, b) for a, b in zip(first.T, second.T, strict=True)])


def _mismatch(images: Stack, keys: Stack) -> float:
    return float(1 - nearest_keys(images, keys)[1].mean()) if len(keys) else float("nan")


def _share(before: float, after: float) -> float:
    """What part of a difference is gone, 0 to 1; 1 where there was none."""
    return float(np.clip(1 - after / before, 0, 1)) if before > 0 else 1.0


def _rms(values: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
