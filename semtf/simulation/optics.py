"""Point spread, scan geometry and haze, as matrices that act on images."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, kron

from semtf.simulation.geometry import MARGIN, Fields
from semtf.simulation.microscope import Microscope
from semtf.simulation.shadowing import smoothed

Pair = tuple[float, float]


def imaging(height: int, width: int, microscope: Microscope) -> csr_array:
    """Matrix that blurs, distorts and crops images with margins, all at once.

    It maps flattened fields of ``height + 2·MARGIN`` × ``width + 2·MARGIN`` to flattened images.
    """
    blur, magnification = microscope.blur, microscope.magnification
    bend = (microscope.rotation, microscope.shear, *microscope.shift, microscope.blur_angle)
    if not any(bend):
        return _spread(height, width, blur, magnification)
    return _bent(height, width, blur, magnification, bend)


def hazed(signal: Fields, share: float, length: float) -> Fields:
    """A share of each image ``[n, height, width]``, spread by a wide Gaussian."""
    return signal + np.float32(share) * (smoothed(signal, length) - signal)


def distortion(magnification: Pair, rotation: float, shear: float) -> NDArray[np.float64]:
    """Matrix from (row, column) of the structure to those of the image, about the centre."""
    sin, cos = np.sin(np.radians(rotation)), np.cos(np.radians(rotation))
    turn = np.array([[cos, sin], [-sin, cos]])
    drift = np.array([[1.0, 0.0], [shear, 1.0]])
    return turn @ drift @ np.diag(magnification)


@functools.lru_cache(maxsize=16)
def _spread(height: int, width: int, blur: Pair, magnification: Pair) -> csr_array:
    """Matrix that blurs, magnifies and crops images with margins, all at once."""
    rows = _spread_axis(height, blur[0], magnification[0])
    columns = _spread_axis(width, blur[1], magnification[1])
    return csr_array(kron(rows, columns, format="csr"))


def _spread_axis(size: int, sigma: float, magnification: float) -> Fields:
    source = np.arange(size + 2 * MARGIN) - (size + 2 * MARGIN - 1) / 2
    target = (np.arange(size) - (size - 1) / 2) / magnification
    distance = np.abs(target[:, None] - source)
    weights = np.where(distance < 4 * sigma, np.exp(-(distance**2) / (2 * sigma**2)), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@functools.lru_cache(maxsize=16)
def _bent(
    height: int, width: int, blur: Pair, magnification: Pair, bend: tuple[float, ...]
) -> csr_array:
    """As `_spread`, for any point spread and distortion."""
    rotation, shear, down, right, angle = bend
    matrix = distortion(magnification, rotation, shear)
    row, column = np.mgrid[:height, :width].reshape(2, -1).astype(np.float64)
    image = np.stack([row - (height - 1) / 2 - down, column - (width - 1) / 2 - right])
    size = np.array([height, width]) + 2 * MARGIN
    place = np.linalg.solve(matrix, image) + (size[:, None] - 1) / 2
    return _sampled(place, size, blur, angle)


def _sampled(
    place: NDArray[np.float64], size: NDArray[np.int64], blur: Pair, angle: float
) -> csr_array:
    """Gaussian means about points ``[2, p]`` of a field, continued beyond its edges by them."""
    reach = int(np.ceil(4 * max(blur)))
    offset = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    nearest = np.rint(place).astype(np.int64)
    down, right = (nearest - place)[:, :, None] + offset[:, None]
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    along, across = cos * down - sin * right, sin * down + cos * right
    square = (along / blur[0]) ** 2 + (across / blur[1]) ** 2
    weights = np.where(square < 16, np.exp(-square / 2), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    limit = size[:, None, None] - 1
    source = np.clip(nearest[:, :, None] + offset[:, None], 0, limit)
    target = np.broadcast_to(np.arange(place.shape[1])[:, None], weights.shape)
    kept = weights > 0
    entries = (target[kept], (source[0] * size[1] + source[1])[kept])
    shape = (place.shape[1], int(size.prod()))
    return csr_array((weights[kept].astype(np.float32), entries), shape=shape)
