"""Calibrated intervals: by hand, and against errors of known distribution."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.estimation import calibration
from semtf.estimation.calibration import ZONES, Checked, Intervals, calibrate
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
    coverage, half_width, pixels = calibration.summary(second, scale)
    assert all(0.88 < share < 0.92 for share in coverage.values())
    assert half_width["wall"] > half_width["plate"]
    assert sum(pixels.values()) == pytest.approx(1)


def test_zones_and_sigma_by_hand() -> None:
    depth = tf.constant([140.0, 139.0, 90.0, 41.0])
    spread = tf.constant([0.0, 1.2, 2.4, 1.2])
    assert intervals().zone(depth, spread).numpy().tolist() == [0, 1, 2, 3]
    half = np.array([0, 1, 2, 3]) * np.hypot([0, 1.2, 2.4, 1.2], 0.5)
    np.testing.assert_allclose(intervals().sigma(depth, spread), half / 1.6448536, rtol=1e-5)


def test_intervals_on_disk(tmp_path: Path) -> None:
    assert Intervals.load(tmp_path) is None
    intervals().save(tmp_path)
    assert Intervals.load(tmp_path) == intervals()
    assert intervals().holds_for(Blending(1, "nearest"))
    assert not intervals().holds_for(Blending(8, "nearest"))
    (tmp_path / "intervals.json").write_text("{}")
    with pytest.raises(InputError, match=r"intervals\.json"):
        Intervals.load(tmp_path)


def test_calibrated_intervals_cover_in_every_zone(
    retriever: Retriever, discs: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    found = calibrate(retriever, discs(60, 2)[0], seed=0)
    assert (found.plate, found.images) == (140, 60)
    assert found.holds_for(Blending(12, "reconstruction"))
    assert set(found.coverage) == set(ZONES)
    assert sum(found.pixels.values()) == pytest.approx(1)
    # 60 images on each side: the mean of their shares is known to a few percent.
    assert all(found.coverage[zone] > 0.8 for zone in ("plate", "wall", "floor"))
    assert calibrate(retriever, discs(60, 2)[0], seed=0) == found
