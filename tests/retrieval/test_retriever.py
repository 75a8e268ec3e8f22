"""The retriever beside a slow and obvious search in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move_image

from semtf.config import RetrievalConfig
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

KINDS = ("exact", "scann")


def blobs(n: int, seed: int, shape: tuple[int, int] = (24, 16)) -> np.ndarray:
    """Smooth random images, uint8, wide grey range."""
    noise = np.random.default_rng(seed).normal(size=(n, *shape))
    smooth = np.stack([gaussian_filter(image, 2.5) for image in noise])
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return np.round(212 * (smooth - low) / (high - low)).astype(np.uint8)


def storage(folder: Path, n: int, seed: int = 0) -> Storage:
    values = blobs(n, seed + 1)
    names = np.array([f"base_{i:05d}" for i in range(n)])
    return Storage.create(folder, case=1, keys=blobs(n, seed), values=values, names=names)


def replicated(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """The slow version of a shift: SciPy's, edges replicated."""
    moved: np.ndarray = move_image(image, shift, order=0, mode="nearest")
    return moved


def brute_force(keys: np.ndarray, image: np.ndarray, radius: int) -> np.ndarray:
    """Correlation of an image with every key in every shift, ``[n, 2r+1, 2r+1]``."""
    steps = range(-radius, radius + 1)
    return np.array(
        [
            [
                [np.corrcoef(replicated(key, (a, b)).ravel(), image.ravel())[0, 1] for b in steps]
                for a in steps
            ]
            for key in keys.astype(float)
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_three_keys_by_hand(tmp_path: Path, kind: str) -> None:
    pairs = storage(tmp_path / "storage", 3)
    retriever = Retriever.build(pairs, RetrievalConfig(index=kind), seed=0)
    query = 0.5 * replicated(pairs.keys[1].astype(float), (2, -1)) + 20

    depth, neighbours, weights = retriever.depth(query[None].astype(np.float32), 1, "softmax")

    assert neighbours.pair.numpy().tolist() == [[1]]
    assert neighbours.shift.numpy().tolist() == [[[2, -1]]]
    assert neighbours.similarity.numpy() == pytest.approx(1.0, abs=1e-5)
    assert weights.numpy().tolist() == [[1.0]]
    np.testing.assert_array_equal(depth[0], replicated(pairs.values[1], (2, -1)))


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_brute_force(tmp_path: Path, kind: str) -> None:
    pairs = storage(tmp_path / "storage", 40)
    config = RetrievalConfig(index=kind, shift=1, dimensions=32)
    retriever = Retriever.build(pairs, config, seed=0)
    generator = np.random.default_rng(3)
    chosen = generator.integers(0, 40, 200)
    queries = pairs.keys[chosen] + generator.normal(scale=40, size=(200, 24, 16))

    found = retriever.search(queries.astype(np.float32), 3)

    for image, pair, shift, similarity in zip(queries, *(x.numpy() for x in found), strict=True):
        table = brute_force(pairs.keys, image, 1)
        best = table.max((1, 2))
        order = np.argsort(-best)[:3]
        np.testing.assert_array_equal(pair, order)
        np.testing.assert_allclose(similarity, best[order], atol=1e-5)
        places = [np.unravel_index(table[i].argmax(), (3, 3)) for i in order]
        np.testing.assert_array_equal(shift, np.array(places) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(tmp_path: Path, kind: str) -> None:
    pairs = storage(tmp_path / "storage", 30)
    built = Retriever.build(pairs, RetrievalConfig(index=kind), seed=0)
    built.save(tmp_path / "index")
    loaded = Retriever.load(tmp_path / "index", Storage.open(tmp_path / "storage"))
    queries = tf.constant(blobs(9, 7), tf.float32)
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        built.depth(queries, 4, "softmax"),
        loaded.depth(queries, 4, "softmax"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch_and_few_pairs(tmp_path: Path, kind: str) -> None:
    retriever = Retriever.build(storage(tmp_path, 2), RetrievalConfig(index=kind), seed=0)
    empty = retriever.search(np.zeros((0, 24, 16), np.float32), 8)
    assert [x.shape.as_list() for x in empty] == [[0, 2], [0, 2, 2], [0, 2]]
