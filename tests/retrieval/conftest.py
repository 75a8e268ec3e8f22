"""Smooth random images and storages of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from semtf.retrieval.storage import Storage


def blobs_of(n: int, seed: int, shape: tuple[int, int] = (24, 16)) -> np.ndarray:
    """Smooth random images, uint8 ``[n, H, W]``, of a wide grey range."""
    noise = np.random.default_rng(seed).normal(size=(n, *shape))
    smooth = np.stack([gaussian_filter(image, 2.5) for image in noise])
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return np.round(212 * (smooth - low) / (high - low)).astype(np.uint8)


@pytest.fixture
def blobs() -> Callable[..., np.ndarray]:
    """Makes ``n`` images from a seed."""
    return blobs_of


@pytest.fixture
def storage() -> Callable[..., Storage]:
    """Writes a storage of ``n`` pairs of blobs, from a seed, into a folder."""

    def create(folder: Path, n: int, seed: int = 0) -> Storage:
        keys, values = blobs_of(n, seed), blobs_of(n, seed + 1)
        names = np.array([f"base_{i:05d}" for i in range(n)])
        return Storage.create(folder, case=1, keys=keys, values=values, names=names)

    return create
