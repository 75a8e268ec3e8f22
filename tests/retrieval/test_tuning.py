"""Choosing weights without labels."""

from pathlib import Path

import numpy as np
import pytest

from semtf.config import RetrievalConfig
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import load_retriever, save_retriever
from semtf.retrieval.storage import Storage
from semtf.retrieval.tuning import tune


def world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Discs of random centre and sizes: an image of 0-212 and its depth, which is linear in it."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :16]
    a, b, x, y = generator.uniform((6, 4, 10, 7), (9, 6, 13, 9), (n, 4)).T[..., None, None]
    radius = np.hypot((rows - x) / a, (columns - y) / b)
    height = 1 / (1 + np.exp(-6 * (radius - 1)))
    return 40 + 160 * height, 30 + 110 * height


def noisy(images: np.ndarray, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=images.shape) * 6
    noise[:, :, 12:] *= 4
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def noise() -> NoiseModel:
    """The noise of most pixels; that `noisy` has more on the right is left out."""
    return NoiseModel({"white": 6.0}, np.zeros((24, 16), np.float32), {})


def build(folder: Path, n: int = 80) -> Retriever:
    images, depth = world(n, 0)
    names = np.array([f"b{i}" for i in range(n)])
    keys, values = images.round().astype(np.uint8), depth.round().astype(np.uint8)
    storage = Storage.create(folder, case=1, keys=keys, values=values, names=names)
    return Retriever.build(storage, RetrievalConfig(index="exact"), seed=0)


def test_the_chosen_weights_beat_the_nearest_on_images_never_seen(tmp_path: Path) -> None:
    fab, _ = world(40, 1)
    retriever, trials = tune(build(tmp_path), noisy(fab, 2), noise(), seed=0)
    assert trials[1:] == sorted(trials[1:], key=lambda trial: trial.rmse)
    assert trials[0].rmse <= 1.01 * trials[1].rmse
    config = retriever.config
    assert (config.weights, config.neighbours) == (trials[0].weights, trials[0].neighbours)

    images, depth = world(40, 3)
    queries = noisy(images, 4)
    candidates = retriever.search(queries, config.pool)
    error, worst = (
        np.sqrt(np.mean((blend(retriever, queries, candidates, blending).depth - depth) ** 2))
        for blending in (Blending.of(config), Blending(1, "nearest"))
    )
    assert error < 0.8 * worst
    # The error it expected of itself, without a label, is about the true one.
    assert trials[0].rmse == pytest.approx(error, rel=0.3)


def test_noisy_pixels_count_less(tmp_path: Path) -> None:
    before = build(tmp_path)
    retriever = tune(before, noisy(world(40, 1)[0], 2), noise(), seed=0).retriever
    assert (before.coordinates.pixel_weights.numpy() == 1).all()
    assert before.config == RetrievalConfig(index="exact")
    weights = retriever.coordinates.pixel_weights.numpy().reshape(24, 16)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[:, :12].mean() > 5 * weights[:, 12:].mean()


def test_same_seed_same_choice_and_it_survives_the_disk(tmp_path: Path) -> None:
    one, other = build(tmp_path / "a"), build(tmp_path / "b")
    fab = noisy(world(10, 1)[0], 2)
    one, trials = tune(one, fab, noise(), seed=5)
    assert tune(other, fab, noise(), seed=5).trials == trials
    save_retriever(one, tmp_path / "index")
    loaded = load_retriever(tmp_path / "index", one.storage)
    assert loaded.config == one.config
    np.testing.assert_array_equal(loaded.coordinates.pixel_weights, one.coordinates.pixel_weights)
