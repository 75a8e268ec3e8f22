"""Point spread, scan geometry and haze against closed forms."""

import dataclasses

import numpy as np
import pytest

from semtf.simulation import optics
from semtf.simulation.geometry import MARGIN
from semtf.simulation.microscope import Microscope
from semtf.simulation.shadowing import smoothed

ROWS, COLUMNS = 72, 48
SHARP = Microscope(blur=(0.8, 0.8))


def point(row: int, column: int) -> np.ndarray:
    """A field with margins that is 1 at a place (row, column) of the image."""
    field = np.zeros((ROWS + 2 * MARGIN, COLUMNS + 2 * MARGIN), np.float32)
    field[MARGIN + row, MARGIN + column] = 1
    return field


def seen(field: np.ndarray, microscope: Microscope) -> np.ndarray:
    matrix = optics.imaging(ROWS, COLUMNS, microscope)
    return (matrix @ field.ravel()).reshape(ROWS, COLUMNS).astype(np.float64)


def moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and covariance of the light in an image, (row, column) about the image's centre."""
    row, column = np.mgrid[:ROWS, :COLUMNS].reshape(2, -1)
    places = np.stack([row - (ROWS - 1) / 2, column - (COLUMNS - 1) / 2])
    weight = image.ravel() / image.sum()
    centre = places @ weight
    off = places - centre[:, None]
    return centre, (off * weight) @ off.T


def test_a_rotation_of_two_degrees_moves_a_point_clockwise():
    centre, _ = moments(seen(point(60, 30), dataclasses.replace(SHARP, rotation=2.0)))
    row, column, angle = 60 - 35.5, 30 - 23.5, np.radians(2.0)
    expected = [
        row * np.cos(angle) + column * np.sin(angle),
        column * np.cos(angle) - row * np.sin(angle),
    ]
    np.testing.assert_allclose(centre, expected, atol=0.02)


def test_a_shift_moves_every_point_by_itself():
    centre, _ = moments(seen(point(20, 30), dataclasses.replace(SHARP, shift=(-1.3, 1.9))))
    np.testing.assert_allclose(centre, [20 - 35.5 - 1.3, 30 - 23.5 + 1.9], atol=0.02)


def test_shear_and_magnification_come_before_the_rotation():
    kind = dataclasses.replace(SHARP, shear=0.03, magnification=(0.95, 1.06), rotation=-1.5)
    centre, _ = moments(seen(point(55, 14), kind))
    row, column = 0.95 * (55 - 35.5), 1.06 * (14 - 23.5)
    column += 0.03 * row
    sin, cos = np.sin(np.radians(-1.5)), np.cos(np.radians(-1.5))
    np.testing.assert_allclose(
        centre, [cos * row + sin * column, cos * column - sin * row], atol=0.03
    )


def test_a_turned_point_spread_has_its_covariance():
    kind = dataclasses.replace(SHARP, blur=(1.0, 2.2), blur_angle=30.0)
    _, covariance = moments(seen(point(36, 24), kind))
    sin, cos = np.sin(np.radians(30.0)), np.cos(np.radians(30.0))
    turn = np.array([[cos, sin], [-sin, cos]])
    expected = turn @ np.diag([1.0, 2.2**2]) @ turn.T
    np.testing.assert_allclose(covariance, expected, atol=0.06)


def test_a_slight_bend_is_almost_the_straight_matrix():
    field = np.random.default_rng(0).random((ROWS + 2 * MARGIN, COLUMNS + 2 * MARGIN))
    straight = dataclasses.replace(SHARP, blur=(1.26, 1.75), magnification=(1.04, 1.05))
    bent = dataclasses.replace(straight, rotation=1e-4)
    difference = seen(field, straight) - seen(field, bent)
    assert np.abs(difference[4:-4, 4:-4]).max() < 2e-3


def test_a_plate_stays_flat_however_the_scan_is_bent():
    kind = Microscope(rotation=2.0, shear=-0.03, shift=(2.0, -2.0), magnification=(0.95, 0.95))
    flat = np.full((ROWS + 2 * MARGIN, COLUMNS + 2 * MARGIN), 1.5, np.float32)
    np.testing.assert_allclose(seen(flat, kind), 1.5, rtol=1e-5)


def test_haze_spreads_its_share_by_a_wide_gaussian():
    field = np.zeros((1, 81, 57), np.float32)
    field[0, 40, 28] = 1
    found = optics.hazed(field, 0.2, 6.0)[0]
    row, column = np.mgrid[:81, :57]
    square = (row - 40) ** 2 + (column - 28) ** 2
    tail = 0.2 * np.exp(-square / (2 * 36.0)) / (2 * np.pi * 36.0)
    assert found[40, 28] == pytest.approx(0.8 + 0.2 / (2 * np.pi * 36.0), rel=1e-3)
    np.testing.assert_allclose(found[square > 0], tail[square > 0], atol=2e-6)


def test_haze_and_smoothing_keep_what_is_flat():
    flat = np.full((2, 80, 56), 0.7, np.float32)
    np.testing.assert_allclose(optics.hazed(flat, 0.3, 20.0), 0.7, rtol=1e-5)
    np.testing.assert_allclose(smoothed(flat, 16.0), 0.7, rtol=1e-5)
