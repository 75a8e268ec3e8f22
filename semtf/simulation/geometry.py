"""Contact holes as fields: contour, wall and floor, drawn or taken from given depth maps.

A structure is one dimensionless shape field ``s`` (0 on the plate, 1 on the nominal floor) from
which the depth map of every case follows by the depth law ``D = L − (L − 30)·s``. The model is
phenomenological: its lengths are nominal and its constants are fitted to published statistics.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree
from scipy.special import ndtri

from semtf.cases import Case
from semtf.config import SHAPE

FLOOR_LEVEL = 30
MARGIN = 4
"""Pixels simulated around the image, so that blur and shifts have something to draw from."""

SUPERSAMPLING = 3
"""Samples a pixel and axis at which the profile of the wall is evaluated."""

CONTOUR_POINTS = 256
PAIRINGS = 32

Fields = NDArray[np.float32]


@dataclass(frozen=True)
class HoleModel:
    """Constants of the drawn holes; lengths in pixels, heights as fractions of the hole depth."""

    exponent: float = 2.75
    half_axes: tuple[tuple[float, float], ...] = ((28.08, 17.03), (28.38, 18.05))
    shares: tuple[float, ...] = (0.7, 0.3)
    axis_sigma: tuple[float, float] = (0.52, 0.25)
    crop_sigma: float = 0.1
    centre_sigma: float = 0.5
    roughness: float = 0.35
    roughness_length: float = 8.0
    wall: float = 0.930
    wall_length: float = 3.68
    wall_power: float = 1.94
    bowl: float = 0.1284
    floor_sigma: float = 0.023
    floor_length: float = 7.0
    tilt: float = 0.012


HOLE = HoleModel()


@dataclass(frozen=True)
class Structures:
    """A batch of structures, with ``MARGIN`` pixels around each image.

    Attributes:
        shape: ``[n, height + 2·MARGIN, width + 2·MARGIN]``, the shape field s.
        distance: as ``shape``: signed distance to the hole's edge in pixels, positive inside.
    """

    shape: Fields
    distance: Fields

    def __len__(self) -> int:
        return len(self.shape)

    def depth(self, case: Case) -> NDArray[np.uint8]:
        """Depth maps of a case, ``[n, height, width]``: the depth law, rounded to grey levels."""
        inner = self.shape[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.clip(np.rint(depth_law(inner, case)), 0, 255).astype(np.uint8)


def depth_law(shape: Fields, case: Case) -> Fields:
    """Depth in grey levels of a shape field: ``L − (L − 30)·s``."""
    return case.plate - (case.plate - FLOOR_LEVEL) * shape


def draw_axes(rng: np.random.Generator, count: int, model: HoleModel = HOLE) -> Fields:
    """Half-axes (row, column) in pixels of ``count`` independent holes or sites, ``[count, 2]``.

    Stratified: the kinds of hole come in their exact shares, the sizes of each kind are evenly
    spaced quantiles, rows and columns uncorrelated; so a small draw has the spread of a large one.
    """
    counts = _apportion(model.shares, count)
    parts = [
        half_axes + _uncorrelated_normals(rng, number) * model.axis_sigma
        for half_axes, number in zip(model.half_axes, counts, strict=True)
    ]
    return rng.permutation(np.concatenate(parts)).astype(np.float32)


def draw_structures(
    rng: np.random.Generator,
    axes: Fields,
    size: tuple[int, int] = SHAPE,
    model: HoleModel = HOLE,
) -> Structures:
    """Draw one structure for each row of ``axes`` (half-axes in pixels, ``[n, 2]``).

    Centre, edge roughness, floor and tilt are drawn anew for every structure.
    """
    height, width = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
    half_axes = axes + rng.normal(0.0, model.crop_sigma, axes.shape)
    centres = rng.normal(0.0, model.centre_sigma, axes.shape)
    rough = _roughness(rng, len(axes), model)
    distance = np.empty((len(axes), height, width), np.float32)
    shape = _floor(rng, distance.shape, model)
    for i in range(len(axes)):  # one at a time, because its fields fit the processor's cache
        contour = _contour(half_axes[i], centres[i], rough[i], model)
        distance[i] = _signed_distance(contour, height, width)
        shape[i] *= _averaged(_profile(_supersampled(distance[i]), float(half_axes[i, 1]), model))
    return Structures(shape, distance)


def structures_from_depth(depth: NDArray[np.uint8]) -> Structures:
    """Structures whose shape fields are those of given depth maps, ``[n, height, width]``.

    The plate level of each map is its maximum, which must lie above the floor level 30. The
    edge is where the map falls below its plate level.
    """
    level = depth.max(axis=(1, 2), keepdims=True).astype(np.float32)
    shape = (level - depth) / (level - FLOOR_LEVEL)
    pad = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    shape = np.pad(shape, pad, mode="edge").astype(np.float32)
    return Structures(shape, np.stack([_edge_distance(s) for s in shape]))


def _apportion(shares: tuple[float, ...], count: int) -> NDArray[np.int64]:
    edges = np.rint(np.cumsum((0.0, *shares)) / sum(shares) * count).astype(np.int64)
    return np.diff(edges)


def _uncorrelated_normals(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Normal quantiles ``[count, 2]`` in the least correlated of ``PAIRINGS`` random pairings."""
    quantiles = ndtri((np.arange(count) + 0.5) / max(count, 1))
    pairings = (rng.permutation(quantiles) for _ in range(PAIRINGS))
    best = min(pairings, key=lambda pairing: abs(quantiles @ pairing))
    return np.stack([quantiles, best], axis=1)


@functools.cache
def _angles(ratio: float, exponent: float) -> NDArray[np.float64]:
    """Superellipse parameters at equal arc lengths, for half-axes in the given ratio."""
    dense = np.linspace(0.0, 2 * np.pi, 16 * CONTOUR_POINTS + 1)
    points = _superellipse(dense, ratio, 1.0, exponent)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    even = np.linspace(0.0, length[-1], CONTOUR_POINTS, endpoint=False)
    return np.interp(even, length, dense)


def _superellipse(
    angles: NDArray[np.float64], row: float, column: float, exponent: float
) -> NDArray[np.float64]:
    sin, cos = np.sin(angles), np.cos(angles)
    power = 2.0 / exponent
    return np.stack(
        [row * np.sign(sin) * np.abs(sin) ** power, column * np.sign(cos) * np.abs(cos) ** power],
        axis=1,
    )


def _roughness(rng: np.random.Generator, count: int, model: HoleModel) -> NDArray[np.float64]:
    """Periodic Gaussian edge displacement in pixels; its correlation falls to 1/e at one length."""
    step = 2 * np.pi * np.mean(model.half_axes) / CONTOUR_POINTS
    frequency = 2 * np.pi * np.fft.rfftfreq(CONTOUR_POINTS, step)
    amplitude = np.exp(-((frequency * model.roughness_length) ** 2) / 8)
    white = rng.standard_normal((count, CONTOUR_POINTS))
    rough = np.fft.irfft(np.fft.rfft(white, axis=1) * amplitude, CONTOUR_POINTS, axis=1)
    power = np.fft.irfft(amplitude**2, CONTOUR_POINTS)[0]
    return model.roughness / np.sqrt(power) * rough


def _contour(
    axes: NDArray[np.float64],
    centre: NDArray[np.float64],
    rough: NDArray[np.float64],
    model: HoleModel,
) -> NDArray[np.float64]:
    nominal = model.half_axes[0][0] / model.half_axes[0][1]
    points = _superellipse(_angles(nominal, model.exponent), axes[0], axes[1], model.exponent)
    return points + rough[:, None] * _normals(points) + centre


def _normals(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outward unit normals of a closed contour of (row, column) points that runs from +column
    towards +row."""
    tangent = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _signed_distance(contour: NDArray[np.float64], height: int, width: int) -> Fields:
    """Distance of every pixel to the tangent at the nearest contour point, positive inside."""
    rows = np.arange(height) - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    nearest = cKDTree(contour).query(grid)[1]
    offset = np.einsum("pk,pk->p", contour[nearest] - grid, _normals(contour)[nearest])
    return offset.reshape(height, width).astype(np.float32)


def _supersampled(field: Fields) -> Fields:
    """Linear interpolation of ``[height, width]`` to ``SUPERSAMPLING`` × as many samples."""
    for axis in (0, 1):
        field = np.moveaxis(field, axis, 0)
        before = np.concatenate([field[:1], field[:-1]])
        after = np.concatenate([field[1:], field[-1:]])
        third = np.float32(1 / 3)
        parts = (field + third * (before - field), field, field + third * (after - field))
        field = np.moveaxis(np.stack(parts, axis=1).reshape(-1, field.shape[1]), 0, axis)
    return field


def _averaged(field: Fields) -> Fields:
    """Mean of each pixel's ``SUPERSAMPLING``² samples."""
    rows, columns = (size // SUPERSAMPLING for size in field.shape)
    total = field.reshape(rows, SUPERSAMPLING, columns, SUPERSAMPLING).sum(axis=(1, 3))
    return total / np.float32(SUPERSAMPLING**2)


def _profile(distance: Fields, half_width: float, model: HoleModel) -> Fields:
    """Wall that saturates with depth, and a shallow bowl: s as a function of the distance."""
    inside: Fields = np.maximum(distance, 0.0, dtype=np.float32)
    wall: Fields = 1 - np.exp(-np.power(inside / np.float32(model.wall_length), model.wall_power))
    bowl: Fields = np.square(inside / np.float32(half_width))
    return np.float32(model.wall) * wall + np.float32(model.bowl) * bowl


def _floor(rng: np.random.Generator, size: tuple[int, ...], model: HoleModel) -> Fields:
    """Relative height of the floor: a correlated field and a tilt about the centre, mean 1."""
    count, height, width = size
    sigma = model.floor_length / 2
    noise = rng.standard_normal(size, dtype=np.float32)
    field = gaussian_filter(noise, (0.0, sigma, sigma), mode="wrap")
    field *= 2 * np.sqrt(np.pi) * sigma * model.floor_sigma
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)[None, :, None]
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, None, :]
    slope = rng.normal(0.0, model.tilt, (2, count, 1, 1)).astype(np.float32)
    return 1 + field + slope[0] * rows + slope[1] * columns


def _edge_distance(shape: Fields) -> Fields:
    """Signed distance in pixels to the outline of the pixels with s > 0."""
    inside = (shape > 0).repeat(SUPERSAMPLING, axis=0).repeat(SUPERSAMPLING, axis=1)
    if not inside.any():
        return np.full(shape.shape, -np.inf, np.float32)
    signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
    signed = (signed - np.sign(signed) * 0.5) / SUPERSAMPLING
    return _averaged(signed.astype(np.float32))
