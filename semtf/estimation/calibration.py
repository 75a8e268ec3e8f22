"""Find the scales of intervals on held-out queries: estimates of known depth with the fab's noise.

Conformal risk control (Angelopoulos et al., ICLR 2024), with the image as the unit and the
uncovered share of its pixels in a zone as the loss: the expected loss on a further such query is
at most 10 %. That holds for queries like these (`semtf.retrieval.held_out`); how far they are like
the fab's images is tested without their depth (`semtf.noise.separation`).
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.optimize import nnls

from semtf.estimation.averaging import Average, Combined, HeldOutEstimates
from semtf.estimation.intervals import AGREED, LEVEL, NORMAL, RESOLUTION, ZONES, Intervals
from semtf.retrieval.retriever import Retriever

# Errors of float32 arithmetic, in grey levels, that count as none.
ROUNDING = 1e-3
# Share of certain pixels that may be off by more than half a level.
WRONG = 0.01
# Share of the hole's depth on each side of a border, between the scales of two zones.
SEAM = 0.05
MOST_DISAGREEMENT = 4.0
TINY = 1e-6
ROUNDS = 4


class Checked(NamedTuple):
    """Estimates beside the truth, ``[m, H, W]`` each.

    Attributes:
        error: size of the error, float32, grey levels.
        unit: what the zone's scale multiplies, float32, grey levels.
        zone: index of the pixel's zone, int32.
    """

    error: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]
    zone: npt.NDArray[np.int32]

    def every_other(self, start: int) -> "Checked":
        """Every other image, from ``start`` on."""
        return Checked(self.error[start::2], self.unit[start::2], self.zone[start::2])


def calibrate(retriever: Retriever, average: Average, estimates: HeldOutEstimates) -> Intervals:
    """Find the scales on estimates of held-out queries; the coverage is cross-validated.

    Args:
        retriever: of one case, tuned.
        average: how its estimators are averaged.
        estimates: of queries with the fab's noise, each without the pairs of its measurement.
    """
    combined = estimates.combined(average.share)
    error = np.abs(combined.depth.numpy() - estimates.truth)
    certain = error[estimates.spread < AGREED]
    wrong = np.mean(certain > RESOLUTION) if certain.size else 0.0
    intervals = Intervals(
        weights=average.blending.weights,
        neighbours=average.blending.k,
        plate=retriever.pixels.plate,
        floor=_floor(estimates.truth, retriever.pixels.plate),
        images=len(error),
        scale=dict.fromkeys(ZONES, 1.0),
        coverage={},
        half_width={},
        pixels={},
        seam=SEAM,
        disagreement=_disagreement(error, combined),
        distance=float(np.median(1.0 - estimates.similarity)),
        rare=float(np.sqrt(np.mean(np.square(certain)))) if wrong > WRONG else 0.0,
    )
    halves = [scaled(intervals, error, combined, estimates.similarity, i) for i in (0, 1)]
    checks = [
        summary(checked(fitted, error, combined, estimates.similarity).every_other(1 - i))
        for i, fitted in enumerate(halves)
    ]
    coverage, half_width, pixels = (
        {zone: _mean([check[part].get(zone) for check in checks]) for zone in checks[0][part]}
        for part in range(3)
    )
    return dataclasses.replace(
        scaled(intervals, error, combined, estimates.similarity),
        coverage=coverage,
        half_width=half_width,
        pixels=pixels,
    )


def _floor(depth: npt.NDArray[np.float32], plate: int) -> int:
    """The usual level of pixels in the lower half of the holes."""
    middle = (float(depth.min()) + plate) / 2
    return int(np.median(depth[depth <= middle]))


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _disagreement(error: npt.NDArray[np.float32], combined: Combined) -> float:
    """By least squares, the part of the estimators' squared difference in the squared error over
    that of the squared spread."""
    open_pixels = combined.spread.numpy() >= AGREED
    parts = [
        np.square(part.numpy()[open_pixels]) for part in (combined.spread, combined.difference)
    ]
    spread, difference = nnls(np.stack(parts, axis=1), np.square(error[open_pixels]))[0]
    return float(min(difference / max(spread, TINY), MOST_DISAGREEMENT))


def scaled(
    intervals: Intervals,
    error: npt.NDArray[np.float32],
    combined: Combined,
    similarity: npt.NDArray[np.float32],
    half: int | None = None,
) -> Intervals:
    """The intervals with scales that hold for these estimates, or for every other image of them.

    A scale also reaches over the borders of its zone, so the scales are found in a few rounds.

    Args:
        intervals: of the same case, with any scales.
        error: sizes of the estimates' errors, ``[m, H, W]``.
        combined: the estimates.
        similarity: of the most similar neighbours, ``[m]``.
        half: 0 or 1 for the even or the odd images alone.
    """
    for _ in range(ROUNDS):
        found = checked(intervals, error, combined, similarity)
        if half is not None:
            found = found.every_other(half)
        factors = {zone: _scale(found, i) or 1.0 for i, zone in enumerate(ZONES) if i}
        scale = {zone: intervals.scale[zone] * factors.get(zone, 1.0) for zone in ZONES}
        intervals = dataclasses.replace(intervals, scale=scale)
    return intervals


def checked(
    intervals: Intervals,
    error: npt.NDArray[np.float32],
    combined: Combined,
    similarity: npt.NDArray[np.float32],
) -> Checked:
    """Errors beside half widths and zones as the intervals have them; arguments as in `scaled`."""
    half_width = NORMAL * intervals.sigma(combined, tf.constant(similarity)).numpy()
    return Checked(error, half_width, intervals.zone(combined.depth, combined.spread).numpy())


def _scale(checked: Checked, zone: int) -> float:
    """The least scale whose uncovered share of an image's pixels is small enough in the mean.

    With ``n`` images the sum of their shares, and 1 for the image to come, must not exceed
    ``(1 - LEVEL)(n + 1)``. Too few images for any scale to do that get the largest that occurs.
    """
    inside = checked.zone == zone
    counts = inside.sum(axis=(1, 2))
    images = np.count_nonzero(counts)
    if images == 0:
        return 0.0
    share = np.broadcast_to((1.0 / np.maximum(counts, 1))[:, None, None], inside.shape)[inside]
    ratio = (np.maximum(checked.error - ROUNDING, 0.0) / np.maximum(checked.unit, TINY))[inside]
    order = np.argsort(-ratio)
    uncovered = np.cumsum(share[order])
    allowed = (1.0 - LEVEL) * (images + 1) - 1.0 + ROUNDING
    # The largest ratio that would no longer fit into what may stay uncovered is the scale.
    index = int(np.searchsorted(uncovered, allowed, side="right"))
    return float(ratio[order][min(index, len(ratio) - 1)])


def summary(
    checked: Checked,
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Coverage, mean half width and share of the pixels, by zone; units are half widths."""
    coverage, half_width, pixels = {}, {}, {}
    for i, zone in enumerate(ZONES):
        inside = checked.zone == i
        counts = inside.sum(axis=(1, 2))
        pixels[zone] = float(inside.mean()) if inside.size else 0.0
        if not counts.any():
            continue
        hits = (inside & covered(checked.error, checked.unit)).sum(axis=(1, 2))
        coverage[zone] = float(np.mean(hits[counts > 0] / counts[counts > 0]))
        half_width[zone] = float(checked.unit[inside].mean())
    return coverage, half_width, pixels


def covered(
    error: npt.NDArray[np.floating], half_width: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Whether absolute errors lie within half widths, both in grey levels and of one shape."""
    return error <= half_width + ROUNDING
