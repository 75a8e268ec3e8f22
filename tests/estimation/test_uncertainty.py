"""Spread and calibrated intervals: by hand, and against errors of known distribution."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.config import RetrievalConfig, Weights
from semtf.errors import InputError
from semtf.estimation import uncertainty
from semtf.estimation.uncertainty import ZONES, Checked, Intervals, calibrate, depth_and_spread
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

SHAPE = (24, 16)


def intervals(**changes: object) -> Intervals:
    scale = dict(zip(ZONES, (0.0, 1.0, 2.0, 3.0), strict=True))
    values = {"weights": "nearest", "neighbours": 1, "plate": 140, "floor": 40, "images": 10}
    return Intervals(**values, scale=scale, coverage={}, half_width={}, pixels={}, **changes)


def test_the_scale_by_hand() -> None:
    # 99 images of one pixel: at most 0.1 · 100 - 1 = 9 may stay uncovered, the errors 91 to 99.
    error = np.arange(1, 100, dtype=np.float32).reshape(99, 1, 1)
    checked = Checked(error, np.ones_like(error), np.full(error.shape, 2))
    assert uncertainty._scale(checked, 2) == pytest.approx(90, abs=0.01)
    assert uncertainty._scale(checked, 1) == 0
    few = Checked(*(part[:5] for part in checked))
    assert uncertainty._scale(few, 2) == pytest.approx(5, abs=0.01)


def test_an_image_counts_once_however_many_of_its_pixels_lie_in_the_zone() -> None:
    zone = np.full((100, 1, 50), 1)
    zone[50:, :, 1:] = 0
    error = np.where(np.arange(100)[:, None, None] < 50, 1.0, 2.0) * np.ones((1, 1, 50))
    found = uncertainty._scale(Checked(error, np.ones_like(error), zone), 1)
    # Half of the images, with a fiftieth of the pixels, have the large error.
    assert found == pytest.approx(2, abs=0.01)


def test_coverage_of_normal_errors_in_new_images() -> None:
    generator = np.random.default_rng(0)
    zone = generator.integers(0, 4, (800, 6, 8))
    unit = generator.uniform(0.5, 5, zone.shape)
    error = np.abs(generator.normal(size=zone.shape) * unit * np.array([1, 2, 3, 4])[zone])
    checked = Checked(error, unit, zone)
    first, second = checked.every_other(0), checked.every_other(1)
    scale = {name: uncertainty._scale(first, i) for i, name in enumerate(ZONES)}
    for factor, value in enumerate(scale.values(), start=1):
        assert value == pytest.approx(1.645 * factor, rel=0.06)
    coverage, half_width, pixels = uncertainty.summary(second, scale)
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
    assert intervals().holds_for(1, "nearest")
    assert not intervals().holds_for(8, "nearest")
    (tmp_path / "intervals.json").write_text("{}")
    with pytest.raises(InputError, match=r"intervals\.json"):
        Intervals.load(tmp_path)


def discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy discs of random centre and size, and their depth, which is linear in the image."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    a, b, x, y = generator.uniform((6, 4, 10, 7), (9, 6, 13, 9), (n, 4)).T[..., None, None]
    height = 1 / (1 + np.exp(-6 * (np.hypot((rows - x) / a, (columns - y) / b) - 1)))
    images = 40 + 160 * height + generator.normal(size=height.shape) * 4
    return images.clip(0, 255).round().astype(np.uint8), (30 + 110 * height).round()


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    images, depth = discs(120, 0)
    names = np.array([f"b{i}" for i in range(120)])
    folder = tmp_path_factory.mktemp("storage")
    values = depth.astype(np.uint8)
    storage = Storage.create(folder, case=1, keys=images, values=values, names=names)
    return Retriever.build(storage, RetrievalConfig(index="exact", neighbours=12, pool=24), seed=0)


@pytest.mark.parametrize("weights", ["nearest", "uniform", "reconstruction"])
def test_spread_is_the_weighted_deviation(retriever: Retriever, weights: Weights) -> None:
    images = discs(5, 1)[0].astype(np.float32)
    k = 1 if weights == "nearest" else 12
    found = retriever.search(images, uncertainty.num_to_search(retriever, k, weights))
    depth, spread, kept, weight = depth_and_spread(retriever, images, found, k, weights)
    assert kept.pair.shape == weight.shape == (5, k)
    some, share = (found, np.ones((5, 8))) if weights == "nearest" else (kept, np.abs(weight))
    counts = np.round(128 * share / share.sum(axis=1, keepdims=True))
    share = counts / counts.sum(axis=1, keepdims=True)
    values = retriever.pixels.values(some).numpy()
    squares = np.square(values - depth.numpy()[:, None])
    expected = np.sqrt(np.einsum("qk,qkhw->qhw", share, squares))
    np.testing.assert_allclose(spread, expected, atol=1e-3)
    agreed = (values == values[:, :1]).all(axis=1)
    assert agreed.any()
    assert np.max(spread.numpy()[agreed]) < 1e-3


def test_calibrated_intervals_cover_in_every_zone(retriever: Retriever) -> None:
    found = calibrate(retriever, discs(60, 2)[0], seed=0)
    assert (found.plate, found.images) == (140, 60)
    assert found.holds_for(12, "reconstruction")
    assert set(found.coverage) <= set(ZONES)
    # 60 images on each side: the mean of their shares is known to a few percent.
    assert all(found.coverage[zone] > 0.8 for zone in ("plate", "wall", "floor"))
    assert calibrate(retriever, discs(60, 2)[0], seed=0) == found
