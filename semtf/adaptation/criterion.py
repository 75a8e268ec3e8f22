"""The label-free criterion: how far adapted images are from the fab's.

It chooses among epochs of a training, and among adapters. Every part is a plain number that a user
can check; `Criterion.score` weighs them. The weights were found by comparing the score with the
depth error on synthetic fabs, whose true depth is known (docs/adaptation.md).
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.adaptation.similarity import nearest_keys, reconstruction_residuals
from semtf.data.sampling import spread, whole_sites

Images = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]

KEYS, QUERIES = 512, 256
"""Largest numbers of simulator and of fab images that are compared."""

WEIGHTS = (0.05, 0.02, 50.0, 100.0, 0.5, 0.5, 0.5)
"""Weights of the parts in the score, in the order of `Criterion`.

Residual and mismatch decide. The other parts outweigh them only where something is clearly wrong:
grey levels that are off, holes that move, depths that the fab's own averages contradict.
"""

SITE_CHANCE = 2.0
"""Up to so many times the variance that chance gives sites' depths, a difference is chance."""

PERCENTILES = np.arange(1, 100, 2)


@dataclass(frozen=True)
class Criterion:
    """The parts of the criterion; each is smaller where adaptation is better.

    Attributes:
        profile: root mean square difference of the mean percentile profiles, grey levels.
        pixels: the same of the mean images, grey levels.
        mismatch: 1 − the mean correlation of a fab image with its nearest adapted image.
        residual: the mean square that a ridge regression on the 128 nearest adapted
            images leaves of a fab image, as a share of its own.
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
    residual: float
    centroid: float
    width: float
    depth: float | None
    score: float

    def parts(self) -> dict[str, float]:
        """The parts and the score by name, without the depth where it is not known."""
        return {name: v for name, v in dataclasses.asdict(self).items() if v is not None}


@dataclass(frozen=True)
class Comparison:
    """The criterion, and what single images give to it.

    Attributes:
        criterion: the parts and the score.
        residuals: of each fab image that was compared, ``[q]``; their mean is the part.
        moved: how far the hole of the mean image moved from input to output, in rows and in
            columns, pixels.
        lost: share of the adapted images that have lost their hole: less than a quarter of the
            contrast that the fab's images have in the median.
    """

    criterion: Criterion
    residuals: Floats
    moved: tuple[float, float]
    lost: float


def criterion(simulator: Images, adapted: Images, fab: Images, **known: Any) -> Criterion:
    """The parts and the score of `compare`, which has the arguments."""
    return compare(simulator, adapted, fab, **known).criterion


def compare(
    simulator: Images,
    adapted: Images,
    fab: Images,
    *,
    depth: Images | None = None,
    average_depth: npt.ArrayLike | None = None,
    plate: float | None = None,
    sites: Names | None = None,
) -> Comparison:
    """Compare adapted simulator images with the fab's.

    Args:
        simulator: the simulator's images, ``[n, H, W]`` grey levels.
        adapted: the same images, adapted, ``[n, H, W]`` grey levels.
        fab: images of the fab, ``[m, H, W]`` grey levels; of other holes.
        depth: depth maps of the simulator's images, ``[n, H, W]``.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown (`Dataset.site_depths`).
        plate: grey level of the plate in the depth maps; with ``depth`` and ``average_depth``.
        sites: the site of each fab image, ``[m]``; each is one of its own where None.

    Returns:
        At most `KEYS` simulator images, evenly spread, and `QUERIES` fab images, whole sites of
        them, are compared, so the same arguments give the same numbers.
    """
    keys, queries = spread(len(adapted), KEYS), whole_sites(sites, len(fab), QUERIES)
    source, translated, target = (
        np.asarray(images[indices], np.float32)
        for images, indices in ((simulator, keys), (adapted, keys), (fab, queries))
    )
    profile = _rms(_profile(translated) - _profile(target))
    means = [images.mean(axis=0) for images in (source, translated, target)]
    pixels = _rms(means[1] - means[2])
    aligned, similarity, order = nearest_keys(target, translated)
    residuals = reconstruction_residuals(aligned, translated, order)
    before, after = holes(source), holes(translated)
    row, column, width = (_unexplained(before[:, i], after[:, i]) for i in range(3))
    site_depth, contradiction = None, 0.0
    if depth is not None and average_depth is not None and plate is not None:
        nearest = np.asarray(depth[keys], np.float32).mean(axis=(1, 2))[order[:, 0]]
        average = np.asarray(average_depth, float)[queries]
        difference = site_difference(nearest, average, plate)
        if difference is not None:
            site_depth, contradiction = difference
    parts = (
        profile,
        pixels,
        float(1 - similarity.mean()),
        float(residuals.mean()),
        float(np.hypot(row, column)),
        width,
    )
    score = sum(w * part for w, part in zip(WEIGHTS, (*parts, contradiction), strict=True))
    moved = holes(np.stack(means[:2]))[:, :2]
    return Comparison(
        Criterion(*parts, site_depth, score),
        residuals,
        (float(moved[1, 0] - moved[0, 0]), float(moved[1, 1] - moved[0, 1])),
        float(np.mean(_contrast(translated) < np.median(_contrast(target)) / 4)),
    )


def holes(images: Floats) -> Floats:
    """Centroid and width of the hole in each image, ``[n, 3]``: row, column, width in pixels.

    The width is four standard deviations of the columns of `hole_pixels`, the axis of an ellipse.
    """
    hole = hole_pixels(images).astype(np.float32)
    area = np.maximum(hole.sum(axis=(1, 2)), 1)
    rows, columns = (np.arange(size, dtype=np.float32) for size in images.shape[1:])
    row = hole.sum(axis=2) @ rows / area
    column = hole.sum(axis=1) @ columns / area
    variance = hole.sum(axis=1) @ columns**2 / area - column**2
    return np.stack([row, column, 4 * np.sqrt(np.maximum(variance, 0))], axis=1)


def hole_pixels(images: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """The pixels darker than halfway between floor and plate, of images ``[…, H, W]``."""
    floor, plate = _floor_and_plate(images)
    hole: npt.NDArray[np.bool_] = images < (floor + plate) / 2
    return hole


def _floor_and_plate(images: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
    """The 5th and the 75th percentile of images ``[…, H, W]``, ``[2, …, 1, 1]``."""
    return np.percentile(images, (5, 75), axis=(-2, -1), keepdims=True)


def site_difference(
    mean: Floats, average: npt.NDArray[np.float64], plate: float
) -> tuple[float, float] | None:
    """Root mean square difference between estimated and given average depths of sites.

    A site's average is over more plate than its crops show. The share of plate outside the crops
    is not known and is fitted: ``average = mean + share · (plate − mean)``.

    Args:
        mean: mean estimated depth of each image, ``[m]``.
        average: average depth of its site, ``[m]``, NaN where unknown; it also tells sites apart.
        plate: grey level of the plate.

    Returns:
        The difference, and what of it is left where chance is taken off: `SITE_CHANCE` times the
        variance that sites' means have because their images differ, and two standard errors of a
        root mean square over so many sites, ``2·d/√(2n)``. Both in grey levels; None where fewer
        than two sites are known.
    """
    known = np.isfinite(average)
    sites, members = np.unique(average[known], return_inverse=True)
    if len(sites) < 2:
        return None
    counts = np.bincount(members)
    means = np.bincount(members, mean[known]) / counts
    missing = plate - means
    share = np.sum((sites - means) * missing) / np.sum(missing**2)
    difference = _rms(sites - means - share * missing)
    within = np.bincount(members, (mean[known] - means[members]) ** 2)
    variance = within / np.maximum(counts - 1, 1) / counts * (1 - share) ** 2
    left = np.sqrt(max(difference**2 - SITE_CHANCE * variance.mean(), 0.0))
    noise = 2 * difference / np.sqrt(2 * len(sites))
    return difference, float(max(left - noise, 0.0))


def _contrast(images: Floats) -> Floats:
    """Grey levels between floor and plate, as in `hole_pixels`, ``[n]``."""
    floor, plate = _floor_and_plate(images)
    difference: Floats = (plate - floor)[:, 0, 0]
    return difference


def _profile(images: Floats) -> Floats:
    flat = images.reshape(len(images), -1)
    return np.percentile(flat, PERCENTILES, axis=1).mean(axis=1)


def _unexplained(before: Floats, after: Floats) -> float:
    """Root mean square distance of ``after`` from the straight line in ``before`` that fits it."""
    matrix = np.stack([before, np.ones_like(before)], axis=1)
    line = np.linalg.lstsq(matrix, after, rcond=None)[0]
    return _rms(after - matrix @ line)


def _rms(values: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
