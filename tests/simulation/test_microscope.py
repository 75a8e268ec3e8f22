"""Image formation and noise, each effect against its formula."""

import dataclasses

import numpy as np
import pytest

from semtf.cases import CHALLENGE
from semtf.errors import InputError
from semtf.simulation import optics, rendering, scan
from semtf.simulation.geometry import MARGIN, Structures, draw_axes, draw_structures
from semtf.simulation.microscope import FABS, SIMULATOR, STRUCT, Microscope
from semtf.simulation.rendering import Scene
from semtf.simulation.shadowing import relief

BARE = Microscope(tilt_power=0.0, visibility_power=0.0, bloom=0.0, asymmetry=0.0, blur=(1e-3, 1e-3))


@pytest.fixture(scope="module")
def scene() -> Scene:
    rng = np.random.default_rng(0)
    return Scene.of(draw_structures(rng, draw_axes(rng, 20)))


def plane(slope: float) -> Scene:
    """A surface that falls by ``slope`` along the columns, for a hole depth of 1 pixel."""
    ramp = slope * np.arange(40, dtype=np.float32)
    shape = np.broadcast_to(ramp, (1, 30, 40)).copy()
    return Scene.of(Structures(shape, np.full(shape.shape, np.inf, np.float32)))


def test_every_image_has_the_maximum_212(scene):
    for kind in (SIMULATOR, *FABS.values()):
        images = rendering.render(scene, CHALLENGE[1], kind, np.random.default_rng(0), exposures=2)
        assert images.shape == (2, 20, 72, 48)
        assert images.dtype == np.uint8
        assert (images.max(axis=(2, 3)) == 212).all()


def test_normalisation_is_by_the_maximum_and_clips_below_zero():
    image = np.array([[[-0.1, 0.0, 0.5, 1.25]]], np.float32)
    expected = [0, 0, round(212 * 0.5 / 1.25), 212]
    assert scan.normalise(image)[0, 0].tolist() == expected


@pytest.mark.parametrize("signal", [0.2, 1.0, 1.5])
def test_shot_noise_is_poisson(signal):
    image = np.full((40, 72, 48), signal, np.float32)
    counts = scan.shot_noise(image, 126.0, np.random.default_rng(0)) * 126
    assert counts.mean() == pytest.approx(126 * signal, rel=0.01)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", [SIMULATOR, FABS["dose"]])
def test_two_exposures_differ_by_twice_the_variance_of_one(scene, kind):
    clean = rendering.formed(scene, CHALLENGE[0], kind)
    rng = np.random.default_rng(0)
    scans = np.stack([scan.expose(clean, kind, rng) for _ in range(24)])
    single = scans.var(axis=0, ddof=1).mean()
    difference = np.square(scans[0::2] - scans[1::2]).mean()
    assert difference / single == pytest.approx(2.0, rel=0.03)
    expected = clean.mean() / kind.dose + kind.read_noise**2
    assert single == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("slope", [0.1, 0.3, 2.0])
def test_tilt_yield_follows_the_slope_up_to_its_cap(slope):
    kind = dataclasses.replace(BARE, tilt_power=0.65, tilt_cap=1.06)
    found = rendering.emission(plane(slope), 1.0, kind)[0, 15, 5:-5]
    cosine = np.cos(np.arctan(slope))
    np.testing.assert_allclose(found, min(cosine**-0.65, 1.06), rtol=1e-4)


def test_bloom_decays_outside_the_edge_only():
    distance = np.linspace(-10, 10, 41, dtype=np.float32)[None, None].repeat(30, axis=1)
    scene = Scene.of(Structures(np.zeros_like(distance), distance))
    kind = dataclasses.replace(BARE, bloom=0.6, bloom_length=5.2)
    found = rendering.emission(scene, 40.0, kind)[0, 0]
    outside = distance[0, 0] <= -0.5
    expected = 1 + 0.6 * np.exp(distance[0, 0][outside] / 5.2)
    np.testing.assert_allclose(found[outside], expected, rtol=1e-5)
    assert (found[distance[0, 0] >= 0.5] == 1).all()


def test_shadow_is_a_power_of_the_visibility_above_a_floor(scene):
    kind = dataclasses.replace(BARE, visibility_power=1.09, visibility_floor=0.06)
    found = rendering.emission(scene, 44.5, kind)
    expected = 0.06 + 0.94 * scene.horizon.visibility(44.5) ** 1.09
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("slope", [-0.5, 0.5])
def test_asymmetry_brightens_walls_that_face_the_detector(slope):
    kind = dataclasses.replace(BARE, asymmetry=0.6)
    found = rendering.emission(plane(slope), 1.0, kind)[0, 15, 20]
    assert found == pytest.approx(1 + 0.6 * np.sin(np.arctan(slope)), rel=1e-4)


def test_the_point_spread_has_its_width_and_magnification():
    spread = optics._spread_axis(72, 1.5, 1.05).astype(np.float64)
    np.testing.assert_allclose(spread.sum(axis=1), 1.0, rtol=1e-5)
    point = np.zeros(72 + 2 * MARGIN)
    point[MARGIN + 55] = 1
    image = spread @ point
    places = np.arange(72) - 35.5
    centre = image @ places / image.sum()
    assert centre == pytest.approx(1.05 * (55 - 35.5), abs=0.02)
    width = np.sqrt(image @ np.square(places - centre) / image.sum())
    assert width == pytest.approx(1.05 * 1.5, rel=0.02)


def test_rows_and_columns_are_blurred_as_named():
    signal = np.zeros((1, 72 + 2 * MARGIN, 48 + 2 * MARGIN), np.float32)
    signal[:, MARGIN + 36, MARGIN + 24] = 1
    spread = optics._spread(72, 48, (2.0, 0.8), (1.0, 1.0))
    image = (spread @ signal.ravel()).reshape(72, 48)
    rows = np.average(np.square(np.arange(72) - 36), weights=image.sum(axis=1))
    columns = np.average(np.square(np.arange(48) - 24), weights=image.sum(axis=0))
    assert rows == pytest.approx(2.0**2, rel=0.02)
    assert columns == pytest.approx(0.8**2, rel=0.05)


def test_the_contrast_curve_keeps_the_plate_and_follows_its_formula():
    flat = Structures(np.zeros((1, 80, 56), np.float32), np.full((1, 80, 56), -np.inf, np.float32))
    kind = dataclasses.replace(BARE, contrast=0.5, black=0.3, tilt_power=0.0)
    assert np.allclose(rendering.formed(Scene.of(flat), CHALLENGE[0], kind), 1.0)
    dark = dataclasses.replace(kind, visibility_power=1.0)
    plain = dataclasses.replace(dark, contrast=1.0, black=0.0)
    rng = np.random.default_rng(0)
    scene = Scene.of(draw_structures(rng, draw_axes(rng, 2)))
    expected = (np.sqrt(rendering.formed(scene, CHALLENGE[0], plain)) - 0.3) / 0.7
    np.testing.assert_allclose(rendering.formed(scene, CHALLENGE[0], dark), expected, rtol=1e-4)


def test_jitter_shifts_rows_by_a_walk_with_memory():
    ramp = np.broadcast_to(np.arange(48, dtype=np.float32), (400, 72, 48)).copy()
    kind = dataclasses.replace(STRUCT, jitter=0.2, jitter_memory=0.8)
    moved = scan._jittered(ramp, kind, np.random.default_rng(0))
    shift = (moved - ramp)[:, :, 24]
    assert np.abs((moved - ramp)[:, :, 5:-5] - shift[..., None]).max() < 1e-4
    assert shift.std() == pytest.approx(0.2, rel=0.05)
    correlation = (shift[:, 1:] * shift[:, :-1]).mean() / shift.var()
    assert correlation == pytest.approx(0.8, abs=0.03)


def test_the_charging_tail_is_the_recursion_it_says():
    image = np.random.default_rng(0).random((2, 5, 30)).astype(np.float32)
    kind = dataclasses.replace(STRUCT, charging=0.25, charging_pole=0.9)
    expected = np.empty_like(image)
    for n in range(2):
        mean = image[n].mean()
        for row in range(5):
            tail = 0.0
            for column in range(30):
                tail = 0.9 * tail + 0.1 * (image[n, row, column] - mean)
                expected[n, row, column] = image[n, row, column] - 0.25 * tail
    np.testing.assert_allclose(scan._charged(image, kind), expected, atol=1e-5)


def test_line_noise_is_one_gain_a_row():
    kind = Microscope(dose=1e9, read_noise=0.0, line_noise=0.004)
    image = np.ones((50, 72, 48), np.float32)
    noisy = scan.expose(image, kind, np.random.default_rng(0))
    assert noisy.mean(axis=2).std() == pytest.approx(0.004, rel=0.05)
    assert (noisy - noisy.mean(axis=2, keepdims=True)).std() < 1e-4


def test_the_case_shows_inside_the_hole(scene):
    images = [
        rendering.formed(scene, case, SIMULATOR)[:, 26:46, 16:32].mean() for case in CHALLENGE
    ]
    assert np.all(np.diff(images) < -0.005)


def test_the_same_seed_gives_the_same_image(scene):
    first, again, other = (
        rendering.render(scene, CHALLENGE[0], STRUCT, np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


@pytest.mark.parametrize("length", [2.0, 6.0])
def test_correlated_noise_has_its_variance_and_autocorrelation(length):
    noise = scan.smooth_noise(np.random.default_rng(0), (200, 72, 48), length)
    assert noise.var() == pytest.approx(1.0, rel=0.05)
    for lag in (1, 2, 4, 6):
        for axis in (1, 2):
            correlation = (noise * np.roll(noise, lag, axis=axis)).mean() / noise.var()
            assert correlation == pytest.approx(np.exp(-((lag / length) ** 2)), abs=0.03)


def test_correlated_noise_has_its_strength_in_a_scan():
    kind = Microscope(dose=1e9, read_noise=0.0, correlated_noise=0.02, correlation_length=3.0)
    noisy = scan.expose(np.ones((60, 72, 48), np.float32), kind, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, -90.0])
def test_the_detector_stands_where_it_is_said_to(angle):
    slope = 0.5
    falling = plane(slope)  # its surface falls, and so faces, to the right
    turned = Scene.of(
        Structures(
            np.swapaxes(falling.structures.shape, 1, 2).copy(),
            np.swapaxes(falling.structures.distance, 1, 2).copy(),
        )
    )
    kind = dataclasses.replace(BARE, asymmetry=0.6, detector=angle)
    right = rendering.emission(falling, 1.0, kind)[0, 15, 20]
    down = rendering.emission(turned, 1.0, kind)[0, 20, 15]
    face = np.sin(np.arctan(slope))
    assert right == pytest.approx(1 + 0.6 * face * np.cos(np.radians(angle)), abs=1e-4)
    assert down == pytest.approx(1 + 0.6 * face * np.sin(np.radians(angle)), abs=1e-4)


def test_each_model_of_shadows_is_used_by_its_name(scene):
    for shadow in ("sky", "solid", "blur"):
        kind = dataclasses.replace(BARE, shadow=shadow, visibility_power=1.0, visibility_floor=0.0)
        expected = {
            "sky": scene.horizon.visibility(44.5),
            "solid": scene.horizon.solid_angle(44.5),
            "blur": relief(scene.structures.shape, 44.5),
        }[shadow]
        np.testing.assert_allclose(rendering.emission(scene, 44.5, kind), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dose", 0.0),
        ("blur", (1.0, 0.0)),
        ("blur", (1.0,)),
        ("magnification", (-1.0, 1.0)),
        ("charging_pole", 1.0),
        ("black", 1.0),
    ],
)
def test_constants_that_make_no_microscope_are_named(field, value):
    with pytest.raises(InputError, match=f"microscope.{field}"):
        dataclasses.replace(SIMULATOR, **{field: value})


def test_presets_keep_their_images():
    """Grey levels of one row and one column, and the sum, as the presets had them at first."""
    golden = {
        "dose": ([170, 144, 41, 37, 32, 34, 53, 197], 397304),
        "tonal": ([177, 156, 43, 40, 34, 36, 62, 202], 424091),
        "struct": ([184, 164, 48, 50, 46, 32, 38, 160], 404374),
    }
    for name, (row, total) in golden.items():
        rng = np.random.default_rng(11)
        drawn = Scene.of(draw_structures(rng, draw_axes(rng, 3)))
        image = rendering.render(drawn, CHALLENGE[1], FABS[name], rng)[0, 1].astype(int)
        assert np.abs(image[36, ::6] - row).max() <= 1
        assert image.sum() == pytest.approx(total, rel=1e-3)
