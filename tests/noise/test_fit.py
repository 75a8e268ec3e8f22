"""The noise of a fab, found again without labels: each kind alone, all together, and none."""

from collections.abc import Callable

import numpy as np
import pytest

from semtf.config import RetrievalConfig
from semtf.noise.model import NoiseModel
from semtf.retrieval.held_out import find_noise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

SHAPE = (40, 24)


def holes(n: int, seed: int) -> np.ndarray:
    """Smooth holes of random size and place, float32 grey levels."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    a, b, x, y = generator.uniform((12, 6, 19, 11), (15, 8, 21, 13), (n, 4)).T[..., None, None]
    height = 1 / (1 + np.exp(-8 * (np.hypot((rows - x) / a, (columns - y) / b) - 1)))
    return (40 + 150 * height).astype(np.float32)


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    keys = holes(250, 0).round().astype(np.uint8)
    names = np.array([f"b{i}" for i in range(len(keys))])
    storage = Storage(keys, keys, names, 1)
    return Retriever.build(storage, RetrievalConfig(index="exact"), seed=0)


@pytest.fixture(scope="module")
def found(retriever: Retriever) -> Callable[..., NoiseModel]:
    """The noise that is found in images made with sizes and an offset."""

    def find(sizes: dict[str, float], offset: float = 0.0) -> NoiseModel:
        shift = np.zeros(SHAPE, np.float32)
        shift[:8] = offset
        fab = NoiseModel(sizes, shift, {}).added(holes(150, 1), np.random.default_rng(2))
        return find_noise(retriever, fab.clip(0, 255).round().astype(np.uint8), seed=0)

    return find


@pytest.mark.parametrize(
    "sizes",
    [
        {"white": 4.0},
        {"jitter_1": 0.4},
        pytest.param({"line_0": 2.0}, marks=pytest.mark.slow),
        pytest.param({"correlated_1": 3.0}, marks=pytest.mark.slow),
        {"jitter_2": 0.3, "line_0": 1.5, "correlated_1": 2.0, "shot": 4.0},
    ],
)
def test_sizes_are_found_again(found: Callable[..., NoiseModel], sizes: dict[str, float]) -> None:
    noise = found(sizes)
    truth = NoiseModel(sizes, noise.offset, {}).groups
    for group, (size, unit) in truth.items():
        assert noise.groups[group] == (pytest.approx(size, rel=0.25), unit)
    # What was not there is not found, beyond what hardly matters.
    for group, (size, unit) in noise.groups.items():
        if group not in truth and group not in ("white", "shot", "drift"):
            assert size < (0.12 if unit == "px" else 1.0)


def test_no_noise_is_no_noise(found: Callable[..., NoiseModel]) -> None:
    for size, unit in found({}).groups.values():
        assert size < (0.05 if unit == "px" else 0.6)


def test_an_offset_is_found(found: Callable[..., NoiseModel]) -> None:
    offset = found({"white": 3.0}, offset=6.0).offset
    assert offset[:8].mean() - offset[8:].mean() == pytest.approx(6, rel=0.35)


def test_made_images_cannot_be_told_from_real_ones(found: Callable[..., NoiseModel]) -> None:
    figures = found({"white": 4.0, "jitter_1": 0.3}).found
    assert figures["auc"] < 0.65
    assert figures["similarity_ks"] < 0.2


def test_relief_of_no_kind_becomes_a_pattern(retriever: Retriever) -> None:
    relief = np.zeros(SHAPE, np.float32)
    relief[16:24, 9:15] = np.linspace(-12, 12, 8)[:, None]
    draws = np.random.default_rng(3).normal(size=(150, 1, 1))
    fab = NoiseModel({"white": 3.0}, np.zeros(SHAPE, np.float32), {}).added(
        holes(150, 1) + draws * relief, np.random.default_rng(2)
    )
    noise = find_noise(retriever, fab.clip(0, 255).round().astype(np.uint8), seed=0)
    strongest = noise.patterns[0] / np.linalg.norm(noise.patterns[0])
    assert abs(np.vdot(strongest, relief)) > 0.8 * np.linalg.norm(relief)
    assert noise.groups["patterns"][1] == "levels"
