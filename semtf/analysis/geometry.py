"""Holes in images of both domains: magnification, shift, polarity, and cases that look alike."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from semtf.adaptation.criterion import holes
from semtf.adaptation.plausibility import correlation
from semtf.analysis.sample import Sample
from semtf.data.sampling import spread

IMAGES = 300


@dataclass(frozen=True)
class Geometry:
    """The holes of one case, as images show them.

    Attributes:
        rows_shift: mean centre of the fab's holes less that of the simulator's, pixels.
        columns_shift: the same along the columns.
        magnification: width of the fab's holes over that of the simulator's.
        simulator_polarity: mean correlation of simulator images with their depth maps; negative
            where holes are bright.
        fab_polarity: correlation of the fab's mean image with the simulator's.
        case_apart: share of images that eight percentiles of an image would tell from the next
            case; None for the last case.
    """

    rows_shift: float
    columns_shift: float
    magnification: float
    simulator_polarity: float
    fab_polarity: float
    case_apart: float | None


def find_geometry(sample: Sample, following: Sample | None) -> Geometry:
    """Compare the holes of both domains, and the fab's images with those of the next case."""
    rows = spread(len(sample.sem), IMAGES)
    sem = sample.sem[rows]
    fab = np.asarray(sample.fab.images[spread(len(sample.fab), IMAGES)], np.float32)
    fab_polarity = correlation(sem.mean(axis=0), fab.mean(axis=0))
    shown = sem if fab_polarity >= 0 else 255 - sem
    ours, theirs = holes(shown).mean(axis=0), holes(fab).mean(axis=0)
    depth = sample.simulator.depth[rows]
    polarity = np.mean([correlation(a, b) for a, b in zip(sem, depth, strict=True)])
    return Geometry(
        rows_shift=float(theirs[0] - ours[0]),
        columns_shift=float(theirs[1] - ours[1]),
        magnification=float(theirs[2] / ours[2]) if ours[2] > 0 else float("nan"),
        simulator_polarity=float(polarity),
        fab_polarity=fab_polarity,
        case_apart=None if following is None else told_apart(sample, following),
    )


def told_apart(sample: Sample, other: Sample) -> float:
    """The share of images that the best linear function of their percentiles gives its case.

    It is that of two normal distributions with a common covariance: ``Φ(d/2)`` at Mahalanobis
    distance ``d``.
    """
    first, second = sample.fab_percentiles, other.fab_percentiles
    difference = first.mean(axis=0) - second.mean(axis=0)
    residuals = np.concatenate([first - first.mean(axis=0), second - second.mean(axis=0)])
    covariance = residuals.T @ residuals / len(residuals)
    distance = difference @ np.linalg.pinv(covariance) @ difference
    return float(norm.cdf(np.sqrt(max(distance, 0.0)) / 2))
