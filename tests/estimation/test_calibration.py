"""Calibrated intervals: by hand, and against errors of known distribution."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.estimation import calibration
from semtf.estimation.averaging import Combined, choose_average
from semtf.estimation.calibration import Checked, calibrate
from semtf.estimation.intervals import NORMAL, ZONES, Intervals
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import Blending
from semtf.retrieval.retriever import Retriever


def intervals(**changes: object) -> Intervals:
    scale = dict(zip(ZONES, (0.0, 1.0, 2.0, 3.0), strict=True))
    values = {"weights": "nearest", "neighbours": 1, "plate": 140, "floor": 40, "images": 10}
    return Intervals(**values, scale=scale, coverage={}, half_width={}, pixels={}, **changes)


def test_the_scale_by_hand() -> None:
    # 99 images of one pixel: at most 0.1 · 100 - 1 = 9 may stay uncovered, the errors 91 to 99.
    error = np.arange(1, 100, dtype=np.float32).reshape(99, 1, 1)
    checked = Checked(error, np.ones_like(error), np.full(error.shape, 2))
    assert calibration._scale(checked, 2) == pytest.approx(90, abs=0.01)
    assert calibration._scale(checked, 1) == 0
    few = Checked(*(part[:5] for part in checked))
    assert calibration._scale(few, 2) == pytest.approx(5, abs=0.01)


def test_an_image_counts_once_however_many_of_its_pixels_lie_in_the_zone() -> None:
    zone = np.full((100, 1, 50), 1)
    zone[50:, :, 1:] = 0
    error = np.where(np.arange(100)[:, None, None] < 50, 1.0, 2.0) * np.ones((1, 1, 50))
    found = calibration._scale(Checked(error, np.ones_like(error), zone), 1)
    # Half of the images, with a fiftieth of the pixels, have the large error.
    assert found == pytest.approx(2, abs=0.01)


def test_coverage_of_normal_errors_in_new_images() -> None:
    generator = np.random.default_rng(0)
    zone = generator.integers(0, 4, (800, 6, 8))
    unit = generator.uniform(0.5, 5, zone.shape)
    error = np.abs(generator.normal(size=zone.shape) * unit * np.array([1, 2, 3, 4])[zone])
    checked = Checked(error, unit, zone)
    first, second = checked.every_other(0), checked.every_other(1)
    scale = {name: calibration._scale(first, i) for i, name in enumerate(ZONES)}
    for factor, value in enumerate(scale.values(), start=1):
        assert value == pytest.approx(1.645 * factor, rel=0.06)
    half = np.array(list(scale.values()), np.float32)[second.zone] * second.unit
    coverage, half_width, pixels = calibration.summary(second._replace(unit=half))
    assert all(0.88 < share < 0.92 for share in coverage.values())
    assert half_width["wall"] > half_width["plate"]
    assert sum(pixels.values()) == pytest.approx(1)


def value(sigma: tf.Tensor) -> float:
    return float(sigma.numpy().ravel()[0])


def combined(depth: list[float], spread: list[float], difference: float = 0.0) -> Combined:
    maps = (tf.constant([[values]], tf.float32) for values in (depth, spread))
    return Combined(*maps, tf.fill([1, 1, len(depth)], difference))


def test_zones_and_sigma_of_older_runs_by_hand() -> None:
    made = combined([140.0, 139.0, 90.0, 41.0], [0.0, 1.2, 2.4, 1.2])
    assert intervals().zone(made.depth, made.spread).numpy().ravel().tolist() == [0, 1, 2, 3]
    half = np.array([0, 1, 2, 3]) * np.hypot([0, 1.2, 2.4, 1.2], 0.5)
    sigma = intervals().sigma(made, tf.constant([0.5]))
    np.testing.assert_allclose(sigma.numpy().ravel(), half / NORMAL, rtol=1e-5)


def test_sigma_has_no_seam_between_zones_nor_to_certain_pixels() -> None:
    depth = np.linspace(140, 30, 4000).tolist()
    whole = intervals(seam=0.05, distance=0.01)
    sigma = whole.sigma(combined(depth, [1.0] * 4000), tf.constant([0.99])).numpy().ravel()
    assert np.abs(np.diff(sigma)).max() < 0.01
    assert sigma[0] == pytest.approx(np.hypot(1, 0.5) / NORMAL, rel=0.01)
    assert sigma[-1] == pytest.approx(3 * np.hypot(1, 0.5) / NORMAL, rel=0.01)
    spread = np.linspace(0, 0.2, 2000).tolist()
    sigma = whole.sigma(combined([100.0] * 2000, spread), tf.constant([0.99])).numpy().ravel()
    assert sigma[0] == 0
    assert np.abs(np.diff(sigma)).max() < 0.01


def test_sigma_grows_with_the_distance_from_the_storage_and_between_the_estimators() -> None:
    whole = intervals(seam=0.05, distance=0.01, disagreement=1.0)
    made = combined([100.0], [2.0])
    usual, near, far = (
        value(whole.sigma(made, tf.constant([similarity]))) for similarity in (0.99, 0.999, 0.91)
    )
    assert near == pytest.approx(usual)
    assert far == pytest.approx(3 * usual, rel=1e-4)
    unlike = value(whole.sigma(combined([100.0], [20.0]), tf.constant([-1.0])))
    assert unlike == pytest.approx(100 / NORMAL, rel=1e-4)
    apart = whole.sigma(combined([100.0], [2.0], 2.0), tf.constant([0.99]))
    assert value(apart) == pytest.approx(usual * np.sqrt(8.25 / 4.25), rel=1e-3)


def test_pixels_on_which_all_agree_get_the_error_that_such_pixels_had() -> None:
    whole = intervals(seam=0.05, distance=0.01, rare=1.3)
    sigma = whole.sigma(combined([140.0], [0.0]), tf.constant([0.99]))
    assert value(sigma) == pytest.approx(1.3)


def test_intervals_on_disk(tmp_path: Path) -> None:
    assert Intervals.load(tmp_path) is None
    intervals().save(tmp_path)
    assert Intervals.load(tmp_path) == intervals()
    assert intervals().holds_for(Blending(1, "nearest"))
    assert not intervals().holds_for(Blending(8, "nearest"))
    (tmp_path / "intervals.json").write_text("{}")
    with pytest.raises(InputError, match=r"intervals\.json"):
        Intervals.load(tmp_path)


def test_calibrated_intervals_cover_in_every_zone(retriever: Retriever) -> None:
    noise = NoiseModel({"white": 4.0}, np.zeros(retriever.shape, np.float32), {})
    chosen = choose_average(retriever, noise, np.arange(120), retriever.storage.keys[:40], seed=0)
    average, estimates = chosen
    found = calibrate(retriever, average, estimates)
    assert (found.plate, found.images) == (140, 120)
    assert found.holds_for(Blending(12, "reconstruction"))
    assert set(found.coverage) == set(ZONES)
    assert sum(found.pixels.values()) == pytest.approx(1)
    # 60 images on each side: the mean of their shares is known to a few percent.
    assert all(found.coverage[zone] > 0.8 for zone in ("plate", "wall", "floor"))
    assert calibrate(retriever, *chosen) == found
