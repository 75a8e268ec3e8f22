"""A retriever of drawn discs."""

from collections.abc import Callable

import numpy as np
import pytest

from semtf.config import RetrievalConfig
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

SHAPE = (24, 16)


def drawn_discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy discs of random centre and size, and their depth, which is linear in the image."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    a, b, x, y = generator.uniform((6, 4, 10, 7), (9, 6, 13, 9), (n, 4)).T[..., None, None]
    height = 1 / (1 + np.exp(-6 * (np.hypot((rows - x) / a, (columns - y) / b) - 1)))
    images = 40 + 160 * height + generator.normal(size=height.shape) * 4
    return images.clip(0, 255).round().astype(np.uint8), (30 + 110 * height).round()


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    images, depth = drawn_discs(120, 0)
    names = np.array([f"b{i}" for i in range(120)])
    folder = tmp_path_factory.mktemp("storage")
    values = depth.astype(np.uint8)
    storage = Storage.create(folder, case=1, keys=images, values=values, names=names)
    return Retriever.build(storage, RetrievalConfig(index="exact", neighbours=12, pool=24), seed=0)


@pytest.fixture
def discs() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Draws ``n`` discs from a seed: images and their depth."""
    return drawn_discs
