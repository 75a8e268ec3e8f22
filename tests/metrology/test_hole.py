"""Drawn holes whose numbers are known in closed form."""

import numpy as np
import pytest
from scipy.special import ellipe

from semtf.cases import CHALLENGE
from semtf.errors import InputError
from semtf.metrology.contour import chord, edge_roughness, hole_contour, moments, perimeter
from semtf.metrology.hole import COLUMNS, edge, measure
from semtf.simulation.geometry import draw_axes, draw_structures

SIZE = (72, 48)
PLATE, FLOOR = 150.0, 30.0


def grid() -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1).astype(float)


def stadium(radius=15.3, straight=21.4, centre=(36.2, 23.7), angle=0.0, wall=8.0) -> np.ndarray:
    """A stadium whose wall falls linearly over ``wall`` pixels, centred on the given edge."""
    offset = grid() - centre
    along = np.cos(angle) * offset[..., 0] + np.sin(angle) * offset[..., 1]
    across = -np.sin(angle) * offset[..., 0] + np.cos(angle) * offset[..., 1]
    beyond = np.maximum(np.abs(along) - straight / 2, 0)
    inside = radius - np.hypot(beyond, across)
    return PLATE - (PLATE - FLOOR) * np.clip(0.5 + inside / wall, 0, 1)


def ellipse(rows=27.0, columns=16.5, centre=(35.4, 23.9), angle=0.0) -> np.ndarray:
    """A paraboloid pit, cut off at the floor: at half depth it is the given ellipse."""
    offset = grid() - centre
    along = np.cos(angle) * offset[..., 0] + np.sin(angle) * offset[..., 1]
    across = -np.sin(angle) * offset[..., 0] + np.cos(angle) * offset[..., 1]
    distance = np.hypot(along / rows, across / columns)
    return np.clip(PLATE - (PLATE - FLOOR) * (0.5 + 2 * (1 - distance)), FLOOR, PLATE)


def test_stadium() -> None:
    radius, straight, wall = 15.3, 21.4, 8.0
    row = measure(stadium(radius, straight, wall=wall), pixel_size_nm=2.0, level_nm=3.0).iloc[0]
    area = np.pi * radius**2 + 2 * radius * straight
    assert row["area_px2"] == pytest.approx(area, rel=2e-3)
    assert row["equivalent_diameter_px"] == pytest.approx(2 * np.sqrt(area / np.pi), rel=1e-3)
    assert row["cd_rows_px"] == pytest.approx(2 * radius + straight, abs=0.02)
    assert row["cd_columns_px"] == pytest.approx(2 * radius, abs=0.02)
    assert row["centroid_row_px"] == pytest.approx(36.2, abs=0.01)
    assert row["centroid_column_px"] == pytest.approx(23.7, abs=0.01)
    assert row["plate_level"] == PLATE
    assert row["floor_level"] == row["floor_minimum_level"] == FLOOR
    assert row["depth_levels"] == row["maximum_depth_levels"] == PLATE - FLOOR
    assert row["wall_width_px"] == pytest.approx(0.6 * wall, rel=5e-3)
    assert row["edge_roughness_sigma_px"] < 0.02
    assert row["depth_nm"] == 360.0
    assert row["cd_columns_nm"] == 2 * row["cd_columns_px"]
    assert row["area_nm2"] == 4 * row["area_px2"]
    angle = np.degrees(np.arctan((PLATE - FLOOR) * 3.0 / (wall * 2.0)))
    assert row["sidewall_angle_deg"] == pytest.approx(angle, abs=0.1)


@pytest.mark.parametrize("angle", [-30.0, 0.0, 12.5, 40.0])
def test_ellipse_in_any_direction(angle: float) -> None:
    row = measure(ellipse(22.0, 14.0, angle=np.radians(angle))).iloc[0]
    assert row["major_axis_px"] == pytest.approx(44.0, rel=2e-3)
    assert row["minor_axis_px"] == pytest.approx(28.0, rel=2e-3)
    assert row["area_px2"] == pytest.approx(np.pi * 22.0 * 14.0, rel=2e-3)
    assert row["orientation_deg"] == pytest.approx(angle, abs=0.1)
    assert row["centroid_row_px"] == pytest.approx(35.4, abs=0.01)
    assert np.isnan(row["sidewall_angle_deg"])
    assert list(row.index) == list(COLUMNS)


def test_edge_moves_by_hundredths_of_a_pixel() -> None:
    shifts = np.arange(0.0, 1.0, 0.05)
    table = measure(np.stack([stadium(centre=(36 + s, 24 - s)) for s in shifts]))
    rows = table["centroid_row_px"] - (36 + shifts)
    columns = table["centroid_column_px"] - (24 - shifts)
    assert max(np.abs(rows).max(), np.abs(columns).max()) < 0.01
    assert np.ptp(table["cd_columns_px"]) < 0.05


def test_polygon_against_closed_form() -> None:
    rectangle = np.array([[1.0, 2.0], [1.0, 8.0], [5.0, 8.0], [5.0, 2.0], [1.0, 2.0]])
    for contour in (rectangle, rectangle[::-1]):
        area, centroid, covariance = moments(contour)
        assert area == pytest.approx(24.0)
        np.testing.assert_allclose(centroid, [3.0, 5.0])
        np.testing.assert_allclose(covariance, [[16 / 12, 0], [0, 36 / 12]], atol=1e-12)
        assert perimeter(contour) == 20.0
        assert chord(contour, 0, 4.0) == 4.0
        assert chord(contour, 1, 2.5) == 6.0
        assert np.isnan(chord(contour, 1, 9.0))
    found = hole_contour(ellipse(24.0, 15.0), (PLATE + FLOOR) / 2)
    assert found is not None
    assert perimeter(found) == pytest.approx(4 * 24 * ellipe(1 - (15 / 24) ** 2), rel=2e-3)


def rough_ellipse(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """An ellipse displaced along its normals by periodic noise of many short waves."""
    t = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    points = np.stack([26 * np.cos(t), 17 * np.sin(t)], axis=1)
    normals = np.stack([17 * np.cos(t), 26 * np.sin(t)], axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    waves = np.arange(5, 25)
    noise = (rng.normal(size=20) @ np.cos(waves[:, None] * t)) + (
        rng.normal(size=20) @ np.sin(waves[:, None] * t)
    )
    points += (sigma * noise / np.sqrt(len(waves)))[:, None] * normals
    return np.concatenate([points, points[:1]])


def test_edge_roughness_is_the_drawn_one() -> None:
    rng = np.random.default_rng(0)
    none = edge_roughness(rough_ellipse(rng, 0.0), np.zeros(2), 0.0)
    assert none < 1e-3
    for sigma in (0.2, 0.5):
        found = [edge_roughness(rough_ellipse(rng, sigma), np.zeros(2), 0.0) for _ in range(200)]
        assert np.sqrt(np.mean(np.square(found))) == pytest.approx(sigma, rel=0.04)


def test_synthetic_holes_have_the_size_they_were_drawn_with() -> None:
    rng = np.random.default_rng(1)
    axes = draw_axes(rng, 60)
    structures = draw_structures(rng, axes)
    table = measure(structures.depth(CHALLENGE[1]))
    assert not table.drop(columns="sidewall_angle_deg").isna().any(axis=None)
    assert (table["plate_level"] == 150).all()
    assert table["floor_level"].between(20, 40).all()
    # The drawn contour is the top of the wall; half depth lies about 3 px inside it.
    inset = axes - table[["cd_rows_px", "cd_columns_px"]].to_numpy() / 2
    assert np.abs(inset.mean(axis=0) - 3.0).max() < 0.4
    # Of the drawn edge's waves, two or fewer around the hole move, turn, widen or stretch it.
    length = 8.0 / (2 * np.pi * np.mean([28.17, 17.34]))
    waves = np.arange(64)
    power = np.where(waves == 0, 1, 2) * np.exp(-((2 * np.pi * waves * length) ** 2) / 4)
    expected = 0.35 * np.sqrt(power[3:].sum() / power.sum())
    rough = np.sqrt(np.mean(table["edge_roughness_sigma_px"] ** 2))
    assert rough == pytest.approx(expected, rel=0.1)


def test_another_unit_of_depth_needs_only_its_own_level() -> None:
    grey = measure(stadium(), pixel_size_nm=2.0, level_nm=3.0).iloc[0]
    for unit in (1 / 255, 257.0, -1e-3):
        values, level = stadium() * abs(unit), 3.0 / abs(unit)
        if unit < 0:  # heights above the floor, in another unit and below zero
            values = values - values.max()
        row = measure(values, pixel_size_nm=2.0, level_nm=level).iloc[0]
        for name in row.index[[not name.endswith("_level") for name in row.index]]:
            scale = abs(unit) if name.endswith("_levels") else 1.0
            assert row[name] == pytest.approx(grey[name] * scale, rel=1e-3, abs=1e-6), name


def test_levels_of_a_pitted_floor() -> None:
    depth = stadium()
    depth[36, 20] = 3.0
    row = measure(depth).iloc[0]
    assert row["floor_minimum_level"] == 3.0
    assert row["maximum_depth_levels"] == PLATE - 3.0
    assert FLOOR - 1 < row["floor_level"] < FLOOR


@pytest.mark.parametrize("kind", ["flat", "cut", "mound", "noise"])
def test_map_without_a_whole_hole(kind: str) -> None:
    depth = {
        "flat": np.full(SIZE, 140.0),
        "cut": stadium(centre=(36.0, 4.0)),
        "mound": 200 - stadium(),
        "noise": np.random.default_rng(0).normal(140, 1, SIZE),
    }[kind]
    row = measure(depth).iloc[0]
    assert np.isfinite(row["plate_level"])
    if kind in ("flat", "cut", "mound"):
        assert row.drop("plate_level").isna().all()


def test_names_and_refusals() -> None:
    table = measure(np.stack([stadium(), ellipse()]), names=["a.png", "b.png"])
    assert table.index.tolist() == ["a.png", "b.png"]
    assert measure(np.zeros((0, *SIZE))).shape == (0, len(COLUMNS))
    with pytest.raises(InputError, match="shape"):
        measure(np.zeros((2, 72, 48, 1)))
    with pytest.raises(InputError, match="finite"):
        measure(np.full(SIZE, np.nan))
    with pytest.raises(InputError, match="pixel_size_nm -1"):
        measure(stadium(), pixel_size_nm=-1)
    with pytest.raises(InputError, match="1 for 2"):
        measure(np.stack([stadium(), ellipse()]), names=["a.png"])


def test_edge_is_the_contour_that_is_measured() -> None:
    found = edge(stadium())
    assert found is not None
    assert moments(found).area == measure(stadium()).iloc[0]["area_px2"]
    assert edge(np.full(SIZE, 140.0)) is None


def test_inverted_maps_and_names_that_are_given_twice_are_not_passed_over() -> None:
    depth = np.full((2, 72, 48), 140.0)
    depth[:, 16:56, 10:38] = 30
    with pytest.warns(UserWarning, match=r"1 of 2 depth maps are higher.*the first: 1.*invert"):
        table = measure(np.stack([depth[0], 255 - depth[1]]))
    assert table["area_px2"].notna().tolist() == [True, False]
    with pytest.raises(InputError, match="a is given twice"):
        measure(depth, names=["a", "a"])
