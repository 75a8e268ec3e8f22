"""The label-free criterion: how far adapted images are from the fab's.

It chooses among epochs of a training, and among adapters. Every part is a plain number that a user
can check; `Criterion.score` weighs them. The weights were found by comparing the
score with the depth error on synthetic fabs, whose true depth is known (docs/adaptation.md).
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Images = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]

KEYS, QUERIES = 512, 256
"""Largest numbers of simulator and of fab images that are compared."""

RADIUS = 2
"""Largest shift in pixels, in rows and columns, between a fab image and its nearest key."""

WEIGHTS = (0.05, 0.02, 100.0, 0.5, 0.5, 2.0)
"""Weights of the parts in the score, in the order of `Criterion`.

The mismatch decides. The other parts outweigh it only where something is clearly wrong: grey levels
that are off, holes that move, depths that the fab's own averages contradict.
"""

SITE_NOISE = 0.25
"""Difference of sites' depths, in grey levels, up to which the score does not grow.

Nearest pairs are not the images' own, so even true target keys differ by 0.1 to 0.2; smaller
differences between epochs are chance.
"""

PERCENTILES = np.arange(1, 100, 2)


@dataclass(frozen=True)
class Criterion:
    """The parts of the criterion; each is smaller where adaptation is better.

    Attributes:
        profile: root mean square difference of the mean percentile profiles, grey levels.
        pixels: the same of the mean images, grey levels.
        mismatch: 1 − the mean correlation of a fab image with its nearest adapted image.
        centroid: how far holes moved from input to output, beyond what one straight line for
            all of them explains (a fab's magnification and asymmetry do), pixels.
        width: the same of the holes' widths, pixels.
        depth: root mean square difference between the average depth of sites and that of their
            images' nearest pairs, grey levels; None where no average depth is given.
        score: what to compare by; smaller is better.
    """

    profile: float
    pixels: float
    mismatch: float
    centroid: float
    width: float
    depth: float | None
    score: float

    def parts(self) -> dict[str, float]:
        """The parts and the score by name, without the depth where it is not known."""
        return {name: v for name, v in dataclasses.asdict(self).items() if v is not None}


def criterion(
    simulator: Images,
    adapted: Images,
    fab: Images,
    *,
    depth: Images | None = None,
    average_depth: npt.ArrayLike | None = None,
    plate: float | None = None,
) -> Criterion:
    """Compare adapted simulator images with the fab's.

    Args:
        simulator: the simulator's images, ``[n, H, W]`` grey levels.
        adapted: the same images, adapted, ``[n, H, W]`` grey levels.
        fab: images of the fab, ``[m, H, W]`` grey levels; of other holes.
        depth: depth maps of the simulator's images, ``[n, H, W]``.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown (`Dataset.site_depths`).
        plate: grey level of the plate in the depth maps; with ``depth`` and ``average_depth``.

    Returns:
        The parts and the score. At most `KEYS` simulator and `QUERIES` fab images are compared,
        evenly spread, so the same arguments give the same numbers.
    """
    keys, queries = spread(len(adapted), KEYS), spread(len(fab), QUERIES)
    source, translated, target = (
        np.asarray(images[indices], np.float32)
        for images, indices in ((simulator, keys), (adapted, keys), (fab, queries))
    )
    profile = _rms(_profile(translated) - _profile(target))
    pixels = _rms(translated.mean(axis=0) - target.mean(axis=0))
    similarity, nearest = nearest_keys(target, translated)
    before, after = holes(source), holes(translated)
    row, column, width = (_unexplained(before[:, i], after[:, i]) for i in range(3))
    site_depth = None
    if depth is not None and average_depth is not None and plate is not None:
        mean = np.asarray(depth[keys], np.float32).mean(axis=(1, 2))[nearest]
        site_depth = site_difference(mean, np.asarray(average_depth, float)[queries], plate)
    mismatch = float(1 - similarity.mean())
    centroid = float(np.hypot(row, column))
    contradiction = max((site_depth or 0.0) - SITE_NOISE, 0.0)
    parts = (profile, pixels, mismatch, centroid, width, contradiction)
    score = sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
    return Criterion(profile, pixels, mismatch, centroid, width, site_depth, score)


def spread(count: int, limit: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` indices of ``count`` items, evenly spread."""
    return np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64)


def nearest_keys(images: Floats, keys: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The most similar key of each image, over shifts of up to `RADIUS` pixels.

    Args:
        images: ``[m, H, W]``.
        keys: ``[n, H, W]``.

    Returns:
        The correlation ``[m]`` and the index ``[m]`` of the most similar key.
    """
    height, width = images.shape[1:]
    padded = np.pad(images, [(0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)], mode="edge")
    vectors = tf.constant(_normalise(keys))
    best = np.full(len(images), -np.inf, np.float32)
    nearest = np.zeros(len(images), np.int64)
    for down in range(2 * RADIUS + 1):
        for right in range(2 * RADIUS + 1):
            moved = padded[:, down : down + height, right : right + width]
            similarity = tf.matmul(_normalise(moved), vectors, transpose_b=True).numpy()
            index = similarity.argmax(axis=1)
            value = similarity[np.arange(len(images)), index]
            better = value > best
            best[better], nearest[better] = value[better], index[better]
    return best, nearest


def holes(images: Floats) -> Floats:
    """Centroid and width of the hole in each image, ``[n, 3]``: row, column, width in pixels.

    The hole is all pixels darker than halfway between the floor (the 5th percentile) and the plate
    (the 75th); the width is four standard deviations of their columns, the axis of an ellipse.
    """
    floor, plate = np.percentile(images, (5, 75), axis=(1, 2), keepdims=True)
    hole = (images < (floor + plate) / 2).astype(np.float32)
    area = np.maximum(hole.sum(axis=(1, 2)), 1)
    rows, columns = (np.arange(size, dtype=np.float32) for size in images.shape[1:])
    row = hole.sum(axis=2) @ rows / area
    column = hole.sum(axis=1) @ columns / area
    variance = hole.sum(axis=1) @ columns**2 / area - column**2
    return np.stack([row, column, 4 * np.sqrt(np.maximum(variance, 0))], axis=1)


def site_difference(mean: Floats, average: npt.NDArray[np.float64], plate: float) -> float | None:
    """Root mean square difference between estimated and given average depths of sites.

    A site's average is over more plate than its crops show. The share of plate outside the crops
    is not known and is fitted: ``average = mean + share · (plate − mean)``.

    Args:
        mean: mean estimated depth of each image, ``[m]``.
        average: average depth of its site, ``[m]``, NaN where unknown; it also tells sites apart.
        plate: grey level of the plate.

    Returns:
        Grey levels; None where fewer than two sites are known.
    """
    known = np.isfinite(average)
    sites, members = np.unique(average[known], return_inverse=True)
    if len(sites) < 2:
        return None
    means = np.bincount(members, mean[known]) / np.bincount(members)
    missing = plate - means
    share = np.sum((sites - means) * missing) / np.sum(missing**2)
    return _rms(sites - means - share * missing)


def _profile(images: Floats) -> Floats:
    flat = images.reshape(len(images), -1)
    return np.percentile(flat, PERCENTILES, axis=1).mean(axis=1)


def _normalise(images: Floats) -> Floats:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _unexplained(before: Floats, after: Floats) -> float:
    """Root mean square distance of ``after`` from the straight line in ``before`` that fits it."""
    matrix = np.stack([before, np.ones_like(before)], axis=1)
    line = np.linalg.lstsq(matrix, after, rcond=None)[0]
    return _rms(after - matrix @ line)


def _rms(values: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
