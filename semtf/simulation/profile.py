"""Walls and floors of holes, as fields of the relative depth."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from semtf.simulation.contour import turned
from semtf.simulation.holes import HoleModel

SUPERSAMPLING = 3
"""Samples a pixel and axis at which the profile of the wall is evaluated."""

REACH = 0.7
"""Share of the half-axes within which grains of residue lie."""

HIGHEST = 0.9
"""Height that residue reaches at most, as a fraction of the hole depth."""

Fields = NDArray[np.float32]


def profile(distance: Fields, half_width: float, model: HoleModel) -> Fields:
    """Wall that saturates with depth, and a shallow bowl: s as a function of the distance inside
    the edge, averaged over each pixel of ``[height, width]``."""
    inside: Fields = np.maximum(supersampled(distance), 0.0, dtype=np.float32)
    wall: Fields = 1 - np.exp(-np.power(inside / np.float32(model.wall_length), model.wall_power))
    bowl: Fields = np.square(inside / np.float32(half_width))
    return averaged(np.float32(model.wall) * wall + np.float32(model.bowl) * bowl)


def floor(rng: np.random.Generator, size: tuple[int, ...], model: HoleModel) -> Fields:
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


def residue(
    rng: np.random.Generator,
    axes: NDArray[np.float64],
    centre: NDArray[np.float64],
    turn: float,
    size: tuple[int, int],
    model: HoleModel,
) -> Fields:
    """Height of the grains on one hole's floor, ``[height, width]``.

    Their number is Poisson distributed, they lie evenly on an ellipse within the hole, and their
    heights are between a half and one and a half times the mean.
    """
    number = rng.poisson(model.residue)
    radius, angle = np.sqrt(rng.random(number)), 2 * np.pi * rng.random(number)
    places = REACH * axes * radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    places = turned(places, turn) + centre
    heights = model.residue_height * rng.uniform(0.5, 1.5, number)
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in size)
    scale = 2 * model.residue_size**2
    down = np.exp(-((rows - places[:, :1]) ** 2) / scale)
    across = np.exp(-((columns - places[:, 1:]) ** 2) / scale)
    field = np.einsum("g,gr,gc->rc", heights, down, across)
    return np.minimum(field, HIGHEST).astype(np.float32)


def supersampled(field: Fields) -> Fields:
    """Linear interpolation of ``[height, width]`` to ``SUPERSAMPLING`` × as many samples."""
    for axis in (0, 1):
        field = np.moveaxis(field, axis, 0)
        before = np.concatenate([field[:1], field[:-1]])
        after = np.concatenate([field[1:], field[-1:]])
        third = np.float32(1 / 3)
        parts = (field + third * (before - field), field, field + third * (after - field))
        field = np.moveaxis(np.stack(parts, axis=1).reshape(-1, field.shape[1]), 0, axis)
    return field


def averaged(field: Fields) -> Fields:
    """Mean of each pixel's ``SUPERSAMPLING``² samples."""
    rows, columns = (size // SUPERSAMPLING for size in field.shape)
    total = field.reshape(rows, SUPERSAMPLING, columns, SUPERSAMPLING).sum(axis=(1, 3))
    return total / np.float32(SUPERSAMPLING**2)
