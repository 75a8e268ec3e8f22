"""Visibility against closed forms and against rays marched one by one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from semtf.simulation.shadowing import AZIMUTHS, DARKENING, SCALES, horizon, relief

FINE = 3
"""Samples a pixel for vertical walls, which one sample a pixel cannot place exactly."""


def cylinder(radius: float, size: int) -> np.ndarray:
    row, column = np.mgrid[:size, :size] - size // 2
    inside = np.clip(radius - np.hypot(row, column) + 0.5, 0, 1)
    return inside[None].astype(np.float32)


@pytest.mark.parametrize("depth", [20.0, 44.5, 60.0])
@pytest.mark.parametrize("radius", [17.0, 24.0])
def test_the_centre_of_a_cylinder(radius, depth):
    size = int(2 * FINE * (radius + 4)) | 1
    found = horizon(cylinder(FINE * radius, size))
    sky = found.visibility(FINE * depth)[0, size // 2, size // 2]
    solid = found.solid_angle(FINE * depth)[0, size // 2, size // 2]
    distance = np.hypot(radius, depth)
    assert sky == pytest.approx(radius**2 / distance**2, rel=0.05)
    assert solid == pytest.approx(1 - depth / distance, rel=0.07)


def test_the_middle_of_a_long_trench():
    width, depth = 51, 51.0
    shape = np.zeros((1, 401, width + 6), np.float32)
    shape[:, :, 3:-3] = 1
    visible = horizon(shape, azimuths=32).visibility(depth)
    exact = 1 / np.sqrt(1 + (depth / (width / 2)) ** 2)
    assert visible[0, 200, shape.shape[2] // 2] == pytest.approx(exact, rel=0.06)


def test_a_plate_sees_everything():
    visible = horizon(np.zeros((2, 20, 16), np.float32)).visibility(50.0)
    np.testing.assert_array_equal(visible, np.ones((2, 20, 16), np.float32))


def test_deeper_holes_see_less_and_their_plate_everything():
    found = horizon(cylinder(12.0, 41))
    shallow, deep = found.visibility(20.0)[0], found.visibility(40.0)[0]
    inside = cylinder(12.0, 41)[0] == 1
    assert (deep[inside] < shallow[inside]).all()
    assert (deep[cylinder(12.0, 41)[0] == 0] == 1).all()


def test_a_batch_is_its_structures_one_by_one():
    shapes = np.concatenate([cylinder(9.0, 33), cylinder(13.0, 33)])
    together = horizon(shapes).visibility(30.0)
    alone = np.concatenate([horizon(shape[None]).visibility(30.0) for shape in shapes])
    np.testing.assert_allclose(together, alone, atol=0.02)


def slow_visibility(shape: np.ndarray, depth: float, row: int, column: int) -> float:
    """Rays marched in quarter-pixel steps through the bilinear surface."""
    total = 0.0
    steps = np.arange(0.25, 90, 0.25)
    for angle in 2 * np.pi * np.arange(AZIMUTHS) / AZIMUTHS:
        places = [row + steps * np.sin(angle), column + steps * np.cos(angle)]
        heights = map_coordinates(shape, places, order=1, cval=0.0)
        slope = max(0.0, ((shape[row, column] - heights) * depth / steps).max())
        total += np.cos(np.arctan(slope)) ** 2
    return total / AZIMUTHS


def test_against_rays_marched_one_by_one():
    rng = np.random.default_rng(0)
    shape = np.zeros((60, 44))
    shape[8:52, 8:36] = 1 + 0.1 * rng.standard_normal((44, 28))
    shape = gaussian_filter(shape, 2.0)
    shape[shape < 0.01] = 0
    fast = horizon(shape[None].astype(np.float32)).visibility(45.0)[0]
    places = [(30, 22), (20, 12), (12, 30), (45, 25), (9, 9), (30, 33)]
    slow = [slow_visibility(shape, 45.0, *place) for place in places]
    np.testing.assert_allclose([fast[place] for place in places], slow, rtol=0.05)


def test_the_relief_of_a_wave_is_darkest_in_its_troughs():
    size, cycles, depth = 240, 6, 3.0
    number = 2 * np.pi * cycles / size
    wave = np.cos(number * np.arange(size))
    shape = np.broadcast_to(wave[:, None], (1, size, 12)).astype(np.float32)
    left = sum((1 - np.exp(-((s * number) ** 2) / 2)) / s for s in SCALES) / len(SCALES)
    exact = np.exp(-DARKENING * depth * left * np.maximum(wave, 0))
    found = relief(shape.copy(), depth)[0, 70:-70, 6]
    np.testing.assert_allclose(found, exact[70:-70], atol=2e-3)


def test_the_relief_of_a_plate_and_of_a_slope_is_one():
    np.testing.assert_array_equal(relief(np.zeros((1, 80, 56), np.float32), 50.0), 1)
    slope = np.linspace(0, 1, 300, dtype=np.float32)[None, :, None].repeat(20, axis=2)
    np.testing.assert_allclose(relief(slope, 10.0)[0, 100:200], 1, atol=1e-3)
