"""Closed contours as polygons: area, moments, chords and roughness.

A contour is float ``[n, 2]``, (row, column) in pixels with pixel centres at whole numbers, and its
last point is its first, as `skimage.measure.find_contours` gives it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

Contour = npt.NDArray[np.float64]
ANGLES = 360


class Moments(NamedTuple):
    """Area, centroid and central second moments (covariance) of the region in a contour."""

    area: float
    centroid: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


def hole_contour(depth: npt.NDArray[Any], level: float) -> Contour | None:
    """The largest closed contour at ``level`` that has smaller values inside, or None.

    `find_contours` interpolates linearly between pixels, so the contour is not bound to them.
    """
    contours = find_contours(depth, level)
    closed = [c for c in contours if len(c) > 3 and np.array_equal(c[0], c[-1])]
    # find_contours walks around smaller values in the sense that makes the signed area positive.
    contour = max(closed, key=_signed_area, default=None)
    return None if contour is None or _signed_area(contour) <= 0 else contour


def perimeter(contour: Contour) -> float:
    """Length of a contour in pixels."""
    return float(np.hypot(*np.diff(contour, axis=0).T).sum())


def moments(contour: Contour) -> Moments:
    """Moments of the polygon by Green's theorem (Steger, "On the calculation of arbitrary moments
    of polygons", TU München FGBV-96-05, 1996)."""
    origin = contour.mean(axis=0)  # near the centroid, for the sake of rounding
    start, end = contour[:-1] - origin, contour[1:] - origin
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    area = cross.sum() / 2
    centroid = (cross[:, None] * (start + end)).sum(axis=0) / (6 * area)
    pairs = [(start, start), (end, end), (start + end, start + end)]
    second = sum(np.einsum("n,ni,nj->ij", cross, a, b) for a, b in pairs) / (24 * area)
    covariance = second - np.outer(centroid, centroid)
    return Moments(float(abs(area)), origin + centroid, covariance)


def axes(covariance: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Major and minor axis in pixels of the ellipse with the same second moments, and its angle.

    The angle is that of `skimage.measure.regionprops`: in radians from the row axis to the major
    axis, counter-clockwise, −π/2 to π/2.
    """
    (minor, major), vectors = np.linalg.eigh(covariance)
    row, column = vectors[:, 1] * (1.0 if vectors[0, 1] >= 0 else -1.0)
    return 4 * float(np.sqrt(major)), 4 * float(np.sqrt(minor)), float(np.arctan2(column, row))


def chord(contour: Contour, axis: int, at: float) -> float:
    """Outer distance in pixels, along ``axis``, of a contour's crossings with a line.

    Args:
        contour: the contour.
        axis: 0 for a line along the rows' axis (a column), 1 for one along the columns' axis.
        at: where the line lies on the other axis.
    """
    along, across = contour[:, axis], contour[:, 1 - axis] - at
    start, end = across[:-1], across[1:]
    hit = (start < 0) != (end < 0)
    share = start[hit] / (start[hit] - end[hit])
    points = along[:-1][hit] + share * np.diff(along)[hit]
    return float(np.ptp(points)) if len(points) else float("nan")


def edge_roughness(contour: Contour, centre: npt.NDArray[np.float64], angle: float) -> float:
    """Standard deviation in pixels of the edge's distance from its smooth outline (1 σ).

    This is the contact edge roughness (CER). Its reference is usually a fitted circle or
    ellipse; holes drawn as ovals are neither, so the reference here is what circle, ellipse and
    oval share: the contour's own mean over the reflections in its two axes. The mean of four
    edges takes a quarter of the variance with it, which is put back. What moves, turns, widens
    or stretches a hole is not roughness.

    Args:
        contour: the contour, seen from ``centre`` in every direction just once.
        centre: its centroid (row, column).
        angle: of its major axis, as `axes` gives it.
    """
    offset = contour[:-1] - centre
    azimuth = np.arctan2(offset[:, 1], offset[:, 0]) - angle
    # Half a step off the axis, so that every reflection of a sample is a sample.
    grid = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
    radius = np.interp(grid, *_by_angle(azimuth, np.hypot(*offset.T)), period=2 * np.pi)
    turned = np.roll(radius, ANGLES // 2)
    outline = (radius + radius[::-1] + turned + turned[::-1]) / 4
    slope = (np.roll(outline, -1) - np.roll(outline, 1)) * ANGLES / (4 * np.pi)
    length = np.hypot(outline, slope)
    distance = (radius - outline) * outline / length  # from along the radius to along the normal
    return float(np.sqrt(4 / 3 * np.average(distance**2, weights=length)))


def _by_angle(
    azimuth: npt.NDArray[np.float64], radius: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    azimuth = azimuth % (2 * np.pi)
    order = np.argsort(azimuth)
    return azimuth[order], radius[order]


def _signed_area(contour: Contour) -> float:
    (row, column), (next_row, next_column) = contour[:-1].T, contour[1:].T
    return float((row * next_column - next_row * column).sum() / 2)
