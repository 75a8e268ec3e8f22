"""Outlines of holes: superellipses and stadiums, asymmetric, turned and rough."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semtf.simulation.holes import HoleModel

CONTOUR_POINTS = 256

Fields = NDArray[np.float32]
Points = NDArray[np.float64]


def contour(axes: Points, centre: Points, rough: Points, turn: float, model: HoleModel) -> Points:
    """The outline of one hole, ``[CONTOUR_POINTS, 2]``: (row, column) in pixels about the middle
    of the image, running from +column towards +row.

    Args:
        axes: half-axes (rows, columns).
        centre: of the hole (row, column).
        rough: outward displacement of each point, ``[CONTOUR_POINTS]``.
        turn: degrees by which the hole is turned, clockwise as displayed.
        model: form and asymmetry.
    """
    if model.form == "stadium":
        points = _stadium(axes[0], axes[1])
    else:
        nominal = model.half_axes[0][0] / model.half_axes[0][1]
        points = _superellipse(_angles(nominal, model.exponent), axes[0], axes[1], model.exponent)
    if model.egg:
        points[:, 1] *= 1 + model.egg * points[:, 0] / axes[0]
    if model.skew:
        points[:, 1] *= 1 + model.skew * np.sign(points[:, 1])
    if turn:
        points = turned(points, turn)
    return points + rough[:, None] * normals(points) + centre


def turned(points: Points, degrees: float) -> Points:
    """(row, column) points turned about the origin, clockwise as displayed."""
    sin, cos = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    row, column = points[..., 0], points[..., 1]
    return np.stack([cos * row + sin * column, cos * column - sin * row], axis=-1)


def roughness(
    rng: np.random.Generator, count: int, model: HoleModel, sigma: float, length: float
) -> Points:
    """Periodic Gaussian edge displacement in pixels, ``[count, CONTOUR_POINTS]``; its correlation
    falls to 1/e at one length."""
    step = 2 * np.pi * np.mean(model.half_axes) / CONTOUR_POINTS
    frequency = 2 * np.pi * np.fft.rfftfreq(CONTOUR_POINTS, step)
    amplitude = np.exp(-((frequency * length) ** 2) / 8)
    white = rng.standard_normal((count, CONTOUR_POINTS))
    rough = np.fft.irfft(np.fft.rfft(white, axis=1) * amplitude, CONTOUR_POINTS, axis=1)
    power = np.fft.irfft(amplitude**2, CONTOUR_POINTS)[0]
    return sigma / np.sqrt(power) * rough


def normals(points: Points) -> Points:
    """Outward unit normals of a closed contour of (row, column) points that runs from +column
    towards +row."""
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def signed_distance(outline: Points, height: int, width: int) -> Fields:
    """Distance of every pixel to the tangent at the nearest contour point, positive inside."""
    rows = np.arange(height) - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    nearest = cKDTree(outline).query(grid)[1]
    offset = np.einsum("pk,pk->p", outline[nearest] - grid, normals(outline)[nearest])
    return offset.reshape(height, width).astype(np.float32)


@functools.cache
def _angles(ratio: float, exponent: float) -> Points:
    """Superellipse parameters at equal arc lengths, for half-axes in the given ratio."""
    dense = np.linspace(0.0, 2 * np.pi, 16 * CONTOUR_POINTS + 1)
    points = _superellipse(dense, ratio, 1.0, exponent)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    even = np.linspace(0.0, length[-1], CONTOUR_POINTS, endpoint=False)
    return np.interp(even, length, dense)


def _superellipse(angles: Points, row: float, column: float, exponent: float) -> Points:
    sin, cos = np.sin(angles), np.cos(angles)
    power = 2.0 / exponent
    return np.stack(
        [row * np.sign(sin) * np.abs(sin) ** power, column * np.sign(cos) * np.abs(cos) ** power],
        axis=1,
    )


def _stadium(row: float, column: float) -> Points:
    """Stadium of the given half-axes at equal arc lengths; a circle where it would be wider than
    long."""
    straight = max(row - column, 0.0)
    arc = np.pi * column
    length = np.linspace(0.0, 2 * arc + 4 * straight, CONTOUR_POINTS, endpoint=False)
    half = 2 * straight + arc
    # Both halves are one curve, the second turned by half a turn.
    along = np.mod(length + straight, half) - straight
    sign = np.where(np.mod(length + straight, 2 * half) < half, 1.0, -1.0)
    angle = np.clip((along - straight) / column, 0.0, np.pi)
    rows = np.minimum(along, straight) + column * np.sin(angle)
    return np.stack([sign * rows, sign * column * np.cos(angle)], axis=1)
