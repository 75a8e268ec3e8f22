"""How much of the detector's hemisphere each point of a hole sees.

``V = (1/2π) ∫ cos² h(φ) dφ`` with the horizon angle ``h`` in azimuth ``φ``: the share of a
cosine-weighted sky that is not hidden by the walls. Two other models stand beside it: the share
of the solid angle, and the relief at several scales.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

AZIMUTHS = 16

SCALES = (4.0, 8.0, 16.0)
"""Standard deviations of the surroundings in `relief`, in pixels."""

DARKENING = 2.5

Fields = NDArray[np.float32]


@dataclass(frozen=True)
class Horizon:
    """Steepest slope towards each azimuth, per unit of hole depth.

    Because all cases share one shape, their horizons differ by a factor only: the slopes are
    found once and serve every case.

    Attributes:
        slopes: ``[azimuths, rows, columns, n]``, in 1/pixel, inside ``box``.
        box: row and column slices outside of which the slope is zero for every structure.
        size: (height, width) of the fields in pixels.
    """

    slopes: Fields
    box: tuple[slice, slice]
    size: tuple[int, int]

    def visibility(self, depth: float) -> Fields:
        """V of each pixel, ``[n, height, width]``, for a hole depth in pixels."""
        inner = np.zeros(self.slopes.shape[1:], np.float32)
        for slope in self.slopes:
            inner += 1 / (1 + (depth * slope) ** 2)
        return self._placed(inner)

    def solid_angle(self, depth: float) -> Fields:
        """Share of the hemisphere's solid angle that each pixel sees, ``[n, height, width]``:
        ``(1/2π) ∫ (1 − sin h(φ)) dφ``, for a hole depth in pixels."""
        inner = np.zeros(self.slopes.shape[1:], np.float32)
        for slope in self.slopes:
            rise = np.float32(depth) * slope
            inner += 1 - rise / np.sqrt(1 + rise**2)
        return self._placed(inner)

    def _placed(self, inner: Fields) -> Fields:
        """Sums over the azimuths as means, with 1 outside the box."""
        visible = np.ones((self.slopes.shape[-1], *self.size), np.float32)
        everywhere = (slice(None), *self.box)
        visible[everywhere] = np.moveaxis(inner / len(self.slopes), -1, 0)
        return visible


def horizon(shape: Fields, azimuths: int = AZIMUTHS) -> Horizon:
    """Horizons of shape fields ``[n, height, width]`` (0 high, 1 deep).

    The fields are resampled along parallel lines in each direction, at steps of one pixel, and
    searched to the far edge of the hole. ``azimuths`` is even; opposite ones share their lines.
    """
    box = _bounding_box(shape)
    everywhere = (slice(None), *box)
    inner = np.moveaxis(shape[everywhere], 0, -1)
    rows, columns, count = inner.shape
    flat = np.ascontiguousarray(inner).reshape(rows * columns, count)
    deep = flat > 0  # the plate hides nothing from itself; resampling would smear walls onto it
    slopes = np.empty((azimuths, rows * columns, count), np.float32)
    for i in range(azimuths // 2):
        to_lines, to_pixels, lines = _rotation(rows, columns, 2 * np.pi * i / azimuths)
        heights = (to_lines @ flat).reshape(*lines, count)
        slopes[2 * i] = deep * (to_pixels @ _steepest(heights).reshape(-1, count))
        backwards = _steepest(heights[:, ::-1])[:, ::-1]
        slopes[2 * i + 1] = deep * (to_pixels @ backwards.reshape(-1, count))
    return Horizon(slopes.reshape(azimuths, rows, columns, count), box, shape.shape[1:])


def relief(shape: Fields, depth: float) -> Fields:
    """Visibility from the relief at several scales, ``[n, height, width]``, without any rays.

    A point that lies ``z`` deeper than its surroundings' mean, a Gaussian of standard deviation σ,
    is as dark as ``exp(−2.5·z/σ)``; the exponents of several σ are averaged. The plate, and all
    that lies above its surroundings, has 1.

    Args:
        shape: shape fields ``[n, height, width]``, continued beyond their edges by the edges.
        depth: of the holes, in pixels.
    """
    lack = np.zeros_like(shape)
    for sigma in SCALES:
        lack += np.maximum(shape - smoothed(shape, sigma), 0) / np.float32(sigma)
    return np.exp(np.float32(-DARKENING * depth / len(SCALES)) * lack)


def smoothed(fields: Fields, sigma: float) -> Fields:
    """Gaussian mean of ``[n, height, width]``, continued beyond the edges by the edges."""
    rows, columns = (_gaussian(size, float(sigma)) for size in fields.shape[1:])
    return np.asarray(rows @ fields @ columns.T, np.float32)


@functools.lru_cache(maxsize=64)
def _gaussian(size: int, sigma: float) -> Fields:
    """Matrix of a Gaussian mean along one axis."""
    mean = gaussian_filter1d(np.eye(size), sigma, axis=0, mode="nearest")
    return np.asarray(mean, np.float32)


def _bounding_box(shape: Fields) -> tuple[slice, slice]:
    """Slices that hold every pixel below the plate, and one pixel of plate around them."""
    deepest = shape.max(axis=0)
    slices = []
    for axis, size in ((1, deepest.shape[0]), (0, deepest.shape[1])):
        found = np.flatnonzero(deepest.max(axis=axis) > 0)
        first, last = (found[0], found[-1]) if len(found) else (0, 0)
        slices.append(slice(max(int(first) - 1, 0), min(int(last) + 2, size)))
    return slices[0], slices[1]


def _steepest(heights: Fields) -> Fields:
    """Steepest rise from each sample to any later one of its line, at least 0.

    ``heights`` is ``[lines, samples, n]``, positive downwards.
    """
    samples = heights.shape[1]
    steepest = np.zeros(heights.shape, np.float32)
    rise = np.empty_like(steepest)
    for step in range(1, samples):
        part = rise[:, :-step]
        np.subtract(heights[:, :-step], heights[:, step:], out=part)
        part *= np.float32(1 / step)
        np.maximum(steepest[:, :-step], part, out=steepest[:, :-step])
    return steepest


@functools.lru_cache(maxsize=512)
def _rotation(rows: int, columns: int, angle: float) -> tuple[csr_array, csr_array, tuple]:
    """Bilinear resampling from pixels to lines along ``angle``, and from lines to pixels."""
    sin, cos = np.sin(angle), np.cos(angle)
    samples = int(np.ceil(abs(rows * sin) + abs(columns * cos))) + 1
    lines = int(np.ceil(abs(rows * cos) + abs(columns * sin))) + 1
    across, along = _centred_grid(lines, samples)
    to_lines = _bilinear(across * cos + along * sin, along * cos - across * sin, rows, columns)
    row, column = _centred_grid(rows, columns)
    to_pixels = _bilinear(row * cos - column * sin, row * sin + column * cos, lines, samples)
    return to_lines, to_pixels, (lines, samples)


def _centred_grid(rows: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, column = np.mgrid[:rows, :columns].astype(np.float64)
    return row.ravel() - (rows - 1) / 2, column.ravel() - (columns - 1) / 2


def _bilinear(
    row: NDArray[np.float64], column: NDArray[np.float64], rows: int, columns: int
) -> csr_array:
    """Matrix that samples a field of ``rows`` × ``columns`` at centred points, zero outside."""
    row, column = row + (rows - 1) / 2, column + (columns - 1) / 2
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    weights, targets, sources = [], [], []
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - np.abs(row - top - i)) * (1 - np.abs(column - left - j))
        inside = (top + i >= 0) & (top + i < rows) & (left + j >= 0) & (left + j < columns)
        keep = np.flatnonzero(inside & (weight > 1e-9))
        weights.append(weight[keep].astype(np.float32))
        targets.append(keep)
        sources.append((top + i)[keep] * columns + (left + j)[keep])
    entries = (np.concatenate(targets), np.concatenate(sources))
    size = (len(row), rows * columns)
    return csr_array((np.concatenate(weights), entries), shape=size, dtype=np.float32)
