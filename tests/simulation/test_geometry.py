"""Contours, distances, profiles and the depth law."""

import dataclasses

import numpy as np
import pytest

from semtf.cases import CHALLENGE
from semtf.errors import InputError
from semtf.simulation import contour, geometry, profile
from semtf.simulation.geometry import MARGIN
from semtf.simulation.holes import FAB_OVAL, HOLE, HoleModel

SMOOTH = dataclasses.replace(
    HOLE, roughness=0.0, crop_sigma=0.0, centre_sigma=0.0, floor_sigma=0.0, tilt=0.0
)


def draw(count: int, model: HoleModel = HOLE, seed: int = 0) -> geometry.Structures:
    rng = np.random.default_rng(seed)
    return geometry.draw_structures(rng, geometry.draw_axes(rng, count, model), model=model)


def circle(radius: float) -> geometry.Structures:
    model = dataclasses.replace(SMOOTH, exponent=2.0, half_axes=((1.0, 1.0),), shares=(1.0,))
    axes = np.full((1, 2), radius, np.float32)
    return geometry.draw_structures(np.random.default_rng(0), axes, model=model)


def radius_of_pixels(rows: int, columns: int) -> np.ndarray:
    row, column = np.mgrid[:rows, :columns].astype(float)
    return np.hypot(row - (rows - 1) / 2, column - (columns - 1) / 2)


def test_the_depth_law_is_exact():
    structures = draw(8)
    inner = structures.shape[:, MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float64)
    for case in CHALLENGE:
        level = case.plate
        exact = level - (level - 30) * inner
        assert np.abs(structures.depth(case) - exact).max() <= 0.5 + 1e-4


def test_the_plate_has_its_level_and_nothing_else_has():
    structures = draw(8)
    distance = structures.distance[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    for case in CHALLENGE:
        depth = structures.depth(case)
        assert (depth[distance < -1] == case.plate).all()
        assert (depth[distance > 2] < case.plate).all()
        assert depth.max() == case.plate


def test_the_distance_to_a_circle_is_exact():
    structures = circle(17.0)
    exact = 17.0 - radius_of_pixels(*structures.distance.shape[1:])
    np.testing.assert_allclose(structures.distance[0], exact, atol=0.03)


def test_the_profile_of_a_circle_is_the_closed_form():
    structures = circle(17.0)
    distance = np.maximum(17.0 - radius_of_pixels(*structures.shape.shape[1:]), 0)
    wall = HOLE.wall * (1 - np.exp(-((distance / HOLE.wall_length) ** HOLE.wall_power)))
    exact = wall + HOLE.bowl * (distance / 17.0) ** 2
    np.testing.assert_allclose(structures.shape[0], exact, atol=0.015)


def test_the_contour_reaches_its_half_axes():
    model = dataclasses.replace(SMOOTH, half_axes=((28.0, 17.0),), shares=(1.0,))
    axes = np.array([[28.0, 17.0]], np.float32)
    distance = geometry.draw_structures(np.random.default_rng(0), axes, model=model).distance[0]
    row, column = (size // 2 for size in distance.shape)
    inside = distance > 0
    assert inside[:, column].sum() == 56
    assert inside[row].sum() == 34
    corner = inside[row - 24 : row + 24, column - 14 : column + 14]
    assert corner[0, 0] == ((24 / 28) ** 2.75 + (14 / 17) ** 2.75 < 1)


def test_edge_roughness_has_its_amplitude_and_correlation_length():
    rng = np.random.default_rng(0)
    rough = contour.roughness(rng, 2000, HOLE, HOLE.roughness, HOLE.roughness_length)
    assert rough.std() == pytest.approx(HOLE.roughness, rel=0.03)
    step = 2 * np.pi * np.mean(HOLE.half_axes) / contour.CONTOUR_POINTS
    lag = round(HOLE.roughness_length / step)
    correlation = (rough * np.roll(rough, lag, axis=1)).mean() / rough.var()
    assert correlation == pytest.approx(np.exp(-1), abs=0.04)


def test_the_floor_has_its_relative_height_and_tilt():
    flat = dataclasses.replace(HOLE, tilt=0.0)
    floor = profile.floor(np.random.default_rng(0), (200, 80, 56), flat)
    assert floor.mean() == pytest.approx(1.0, abs=0.002)
    assert floor.std() == pytest.approx(HOLE.floor_sigma, rel=0.05)
    tilted = dataclasses.replace(HOLE, floor_sigma=0.0)
    floor = profile.floor(np.random.default_rng(0), (2000, 80, 56), tilted)
    assert (floor[:, 0] - floor[:, -1]).std() == pytest.approx(2 * HOLE.tilt, rel=0.05)


def test_supersampling_is_linear_and_averaging_undoes_it():
    field = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    fine = profile.supersampled(field)
    places = (np.arange(21) + 0.5) / 3 - 0.5
    slow = np.stack([np.interp(places, np.arange(7), column) for column in field.T], axis=1)
    places = (np.arange(15) + 0.5) / 3 - 0.5
    slow = np.stack([np.interp(places, np.arange(5), row) for row in slow])
    np.testing.assert_allclose(fine, slow, atol=1e-6)
    ramp = np.add.outer(np.arange(9), np.arange(6)).astype(np.float32)
    averaged = profile.averaged(profile.supersampled(ramp))
    np.testing.assert_allclose(averaged[1:-1, 1:-1], ramp[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [14, 400])
def test_small_draws_of_hole_sizes_have_the_spread_of_large_ones(count, seed):
    axes = geometry.draw_axes(np.random.default_rng(seed), count)
    kinds, shares = np.array(HOLE.half_axes), np.array(HOLE.shares)
    np.testing.assert_allclose(axes.mean(axis=0), shares @ kinds, atol=0.02)
    spread = np.sqrt(shares @ np.square(kinds - shares @ kinds) + np.square(HOLE.axis_sigma))
    np.testing.assert_allclose(axes.std(axis=0), spread, rtol=0.12)
    area = axes.prod(axis=1)
    large = geometry.draw_axes(np.random.default_rng(0), 20_000).prod(axis=1)
    assert area.std() == pytest.approx(large.std(), rel=0.12)


def test_no_structures_are_drawn_where_none_are_asked_for():
    assert len(draw(0)) == 0


def test_two_draws_are_never_alike():
    depth = draw(40).depth(CHALLENGE[0])
    assert len(np.unique(depth.reshape(40, -1), axis=0)) == 40


def test_given_depth_maps_come_back_from_their_case():
    maps = draw(4).depth(CHALLENGE[0])
    structures = geometry.structures_from_depth(maps)
    np.testing.assert_array_equal(structures.depth(CHALLENGE[0]), maps)
    scaled = 170 - (170 - 30) * (140.0 - maps) / 110
    assert np.abs(structures.depth(CHALLENGE[3]) - scaled).max() <= 0.5 + 1e-4


def test_the_edge_of_a_given_map_is_found():
    rows, columns = 72, 48
    disc = np.where(radius_of_pixels(rows, columns) < 15, 30, 140).astype(np.uint8)
    distance = geometry.structures_from_depth(disc[None]).distance[0]
    exact = 15.0 - radius_of_pixels(rows + 2 * MARGIN, columns + 2 * MARGIN)
    assert np.abs(distance - exact).max() < 1.0
    assert abs((distance - exact).mean()) < 0.35  # the nearest corner of a stair, not its middle


def test_a_given_map_without_a_hole_has_no_edge():
    plate = np.full((1, 72, 48), 150, np.uint8)
    structures = geometry.structures_from_depth(plate)
    assert np.isneginf(structures.distance).all()
    assert (structures.depth(CHALLENGE[2]) == 160).all()


def outline(model: HoleModel, turn: float = 0.0) -> np.ndarray:
    flat = np.zeros(contour.CONTOUR_POINTS)
    return contour.contour(np.array(model.half_axes[0]), np.zeros(2), flat, turn, model)


def enclosed(points: np.ndarray) -> float:
    row, column = points.T
    return float((column * np.roll(row, -1) - row * np.roll(column, -1)).sum() / 2)


def test_a_stadium_is_a_rectangle_between_two_half_circles():
    model = dataclasses.replace(SMOOTH, form="stadium", half_axes=((26.0, 15.0),), shares=(1.0,))
    points = outline(model)
    straight = 26.0 - 15.0
    exact = np.maximum(np.abs(points[:, 0]) - straight, 0)
    np.testing.assert_allclose(np.hypot(exact, points[:, 1]), 15.0, atol=1e-9)
    assert enclosed(points) == pytest.approx(np.pi * 15**2 + 4 * straight * 15, rel=1e-3)
    steps = np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1)
    assert steps.max() / steps.min() < 1.01


def test_an_egg_grows_in_width_towards_its_lower_end():
    model = dataclasses.replace(
        SMOOTH, exponent=2.0, half_axes=((25.0, 14.0),), shares=(1.0,), egg=0.2
    )
    row, column = outline(model).T
    exact = 14 * np.sqrt(np.maximum(1 - (row / 25) ** 2, 0)) * (1 + 0.2 * row / 25)
    np.testing.assert_allclose(np.abs(column), exact, atol=1e-6)


def test_a_skewed_hole_is_wider_on_the_right():
    model = dataclasses.replace(SMOOTH, half_axes=((25.0, 14.0),), shares=(1.0,), skew=0.1)
    column = outline(model)[:, 1]
    assert column.max() == pytest.approx(14 * 1.1, abs=1e-6)
    assert column.min() == pytest.approx(-14 * 0.9, abs=0.01)


def test_a_turn_is_clockwise_as_displayed():
    right_and_up = contour.turned(np.array([[0.0, 1.0], [-1.0, 0.0]]), 90.0)
    np.testing.assert_allclose(right_and_up, [[1.0, 0.0], [0.0, 1.0]], atol=1e-12)
    model = dataclasses.replace(SMOOTH, exponent=2.0, half_axes=((25.0, 14.0),), shares=(1.0,))
    points = outline(model, 20.0)
    reach = np.hypot(25 * np.cos(np.radians(20)), 14 * np.sin(np.radians(20)))
    assert points[:, 0].max() == pytest.approx(reach, rel=1e-3)
    assert points[points[:, 0].argmin(), 1] > 3


def test_a_second_roughness_adds_to_the_first():
    model = dataclasses.replace(HOLE, roughness=0.3, coarse_roughness=0.4, coarse_length=25.0)
    rough = geometry._edges(np.random.default_rng(0), 3000, model)
    assert rough.std() == pytest.approx(0.5, rel=0.03)


def test_grains_of_residue_are_as_many_and_as_high_as_said():
    model = dataclasses.replace(HOLE, residue=1.5, residue_height=0.2, residue_size=2.0)
    rng, axes, centre = np.random.default_rng(0), np.array([25.0, 15.0]), np.array([2.0, -1.0])
    fields = [profile.residue(rng, axes, centre, 10.0, (80, 56), model) for _ in range(600)]
    volume = np.mean([field.sum() for field in fields])
    assert volume == pytest.approx(1.5 * 0.2 * 2 * np.pi * 2.0**2, rel=0.06)
    assert max(field.max() for field in fields) <= profile.HIGHEST
    middle = np.mean(fields, axis=0)
    row, column = np.mgrid[:80, :56]
    assert (row * middle).sum() / middle.sum() - 39.5 == pytest.approx(2.0, abs=0.8)
    assert (column * middle).sum() / middle.sum() - 27.5 == pytest.approx(-1.0, abs=0.8)


def test_residue_raises_the_floor_of_the_depth_map():
    clean, dirty = (
        draw(20, dataclasses.replace(HOLE, residue=residue, residue_height=0.3)).depth(CHALLENGE[0])
        for residue in (0.0, 3.0)
    )
    assert dirty.astype(float).mean() > clean.astype(float).mean() + 1
    assert dirty.max() == clean.max() == 140


def test_the_fab_oval_measures_as_the_real_one():
    model = dataclasses.replace(
        FAB_OVAL,
        axis_sigma=(0.0, 0.0),
        crop_sigma=0.0,
        centre_sigma=0.0,
        rotation=0.0,
        rotation_sigma=0.0,
        roughness=0.0,
        floor_sigma=0.0,
        tilt=0.0,
    )
    structures = draw(1, model)
    depth, distance = structures.shape[0], structures.distance[0]
    assert (distance > 0).any(axis=1).sum() == pytest.approx(50.2, abs=0.8)
    assert (distance > 0).any(axis=0).sum() == pytest.approx(28.1, abs=0.8)
    row = depth[depth.shape[0] // 2]
    top = row.max()
    climb = row[: row.argmax() + 1]
    places = np.interp([0.2 * top, 0.8 * top], climb, np.arange(len(climb)))
    assert places[1] - places[0] == pytest.approx(3.8, abs=0.4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_axes": ()},
        {"half_axes": ((20.0,),), "shares": (1.0,)},
        {"shares": (1.0,)},
        {"shares": (1.0, 0.0)},
        {"wall_length": 0.0},
    ],
)
def test_constants_that_make_no_hole_are_refused(wrong):
    with pytest.raises(InputError, match="holes"):
        dataclasses.replace(HOLE, **wrong)
