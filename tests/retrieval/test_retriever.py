"""The retriever beside a slow and obvious search in NumPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift as move_image

from semtf.config import RetrievalConfig
from semtf.errors import InputError
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage

KINDS = ("exact", "scann")


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
def test_three_keys_by_hand(tmp_path: Path, kind: str, storage: Callable[..., Storage]) -> None:
    pairs = storage(tmp_path / "storage", 3)
    retriever = Retriever.build(pairs, RetrievalConfig(index=kind), seed=0)
    query = 0.5 * replicated(pairs.keys[1].astype(float), (2, -1)) + 20

    image = query[None].astype(np.float32)
    found = retriever.search(image, 1)
    depth, neighbours, weights = blend(retriever, image, found, Blending(1, "softmax"))

    assert neighbours.pair.numpy().tolist() == [[1]]
    assert neighbours.shift.numpy().tolist() == [[[2, -1]]]
    assert neighbours.similarity.numpy() == pytest.approx(1.0, abs=1e-5)
    assert weights.numpy().tolist() == [[1.0]]
    np.testing.assert_array_equal(depth[0], replicated(pairs.values[1], (2, -1)))


@pytest.mark.parametrize("move_depth", [True, False])
def test_the_quirks_of_the_winning_code(
    tmp_path: Path, move_depth: bool, storage: Callable[..., Storage]
) -> None:
    pairs = storage(tmp_path / "storage", 3)
    config = RetrievalConfig(index="exact", edges="wrap", move_depth=move_depth)
    retriever = Retriever.build(pairs, config, seed=0)
    query = np.roll(pairs.keys[1], (2, -1), (0, 1))[None].astype(np.float32)

    found = retriever.search(query, 1)
    assert found.pair.numpy().tolist() == [[1]]
    assert found.shift.numpy().tolist() == [[[2, -1]]]
    assert found.similarity.numpy() == pytest.approx(1.0, abs=1e-5)
    depth = blend(retriever, query, found, Blending(1, "nearest")).depth
    moved = np.roll(pairs.values[1], (2, -1), (0, 1)) if move_depth else pairs.values[1]
    np.testing.assert_array_equal(depth[0], moved)
    np.testing.assert_array_equal(retriever.pixels.values(found)[0, 0], moved)
    mean, variance = retriever.pixels.mean_and_variance(found, tf.constant([[4.0]]))
    np.testing.assert_array_equal(mean[0], moved)
    assert np.max(variance) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_brute_force(
    tmp_path: Path, kind: str, storage: Callable[..., Storage]
) -> None:
    pairs = storage(tmp_path / "storage", 40)
    config = RetrievalConfig(index=kind, shift=1, dimensions=32)
    retriever = Retriever.build(pairs, config, seed=0)
    generator = np.random.default_rng(3)
    chosen = generator.integers(0, 40, 200)
    queries = pairs.keys[chosen] + generator.normal(scale=40, size=(200, 24, 16))

    found = retriever.search(queries.astype(np.float32), 3)

    for image, pair, shift, similarity in zip(
        queries, *(x.numpy() for x in found[:3]), strict=True
    ):
        table = brute_force(pairs.keys, image, 1)
        best = table.max((1, 2))
        order = np.argsort(-best)[:3]
        np.testing.assert_array_equal(pair, order)
        np.testing.assert_allclose(similarity, best[order], atol=1e-5)
        steps = [np.unravel_index(table[i].argmax(), (3, 3)) for i in order]
        np.testing.assert_array_equal(shift, np.array(steps) - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch_and_few_pairs(
    tmp_path: Path, kind: str, storage: Callable[..., Storage]
) -> None:
    retriever = Retriever.build(storage(tmp_path, 2), RetrievalConfig(index=kind), seed=0)
    empty = retriever.search(np.zeros((0, 24, 16), np.float32), 8)
    assert [x.shape.as_list() for x in empty] == [[0, 2], [0, 2, 2], [0, 2], [0, 2, 2]]


def test_shifts_of_one_pair_do_not_crowd_out_the_others(
    tmp_path: Path, storage: Callable[..., Storage]
) -> None:
    # Wide blobs: the 25 shifts of a key are closer to it than any other key.
    pairs = storage(tmp_path, 20)
    config = RetrievalConfig(index="exact", candidates=1, rerank=12)
    found = Retriever.build(pairs, config, seed=0).search(pairs.keys[:6], 12)
    assert np.isfinite(found.similarity).all()
    for row, own in zip(found.pair.numpy(), range(6), strict=True):
        assert row[0] == own
        assert len(set(row)) == 12


def test_centred_keys_find_the_same_pairs_with_one_embedding_each(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    pairs = storage(tmp_path, 60)
    config = RetrievalConfig(align="centre", shift=1, rerank=60)
    retriever = Retriever.build(pairs, config, seed=0)
    assert retriever.index.embeddings.shape[0] == 60
    queries = blobs(6, 9).astype(np.float32)
    expected = Retriever.build(pairs, RetrievalConfig(shift=1), seed=0).search(queries, 4)
    found = retriever.search(queries, 4)
    tf.nest.map_structure(np.testing.assert_array_equal, tuple(found), tuple(expected))


def test_extended_keeps_the_projection(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    pairs = storage(tmp_path / "a", 12)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    names = np.array([f"new_{i}" for i in range(3)])
    longer = pairs.extended(tmp_path / "b", keys=blobs(3, 5), values=blobs(3, 6), names=names)
    more = retriever.extended(longer, seed=0)
    np.testing.assert_array_equal(more.pca.components, retriever.pca.components)
    assert more.search(blobs(3, 5), 1).pair.numpy().ravel().tolist() == [12, 13, 14]
    assert more.search(pairs.keys[:4], 1).pair.numpy().ravel().tolist() == [0, 1, 2, 3]


def test_neighbours_beyond_the_reranked_follow_from_the_index(
    tmp_path: Path, storage: Callable[..., Storage]
) -> None:
    pairs = storage(tmp_path, 60)
    full = Retriever.build(pairs, RetrievalConfig(rerank=60, index="exact"), seed=0)
    some = Retriever.build(pairs, RetrievalConfig(rerank=4, index="exact", candidates=1500), seed=0)
    queries = pairs.keys[:8].astype(np.float32)
    found, expected = some.search(queries, 20), full.search(queries, 20)
    np.testing.assert_array_equal(found.pair[:, :2], expected.pair[:, :2])
    for row in found.pair.numpy():
        assert len(set(row)) == 20
    overlap = [
        len(set(a) & set(b)) for a, b in zip(found.pair.numpy(), expected.pair.numpy(), strict=True)
    ]
    assert np.mean(overlap) > 18
    np.testing.assert_allclose(found.similarity, expected.similarity, atol=0.05)


def test_a_retriever_does_not_change(tmp_path: Path, storage: Callable[..., Storage]) -> None:
    retriever = Retriever.build(storage(tmp_path, 12), RetrievalConfig(index="scann"), seed=0)
    config, weights = retriever.config, retriever.coordinates.pixel_weights.numpy()
    centred = retriever.with_alignment("centre", seed=0)
    other = retriever.with_recall(0.5, seed=0).with_pixel_weights(2 * weights)
    assert (centred.config.align, other.config.recall) == ("centre", 0.5)
    np.testing.assert_array_equal(other.coordinates.pixel_weights, 2 * weights)
    assert retriever.config == config
    np.testing.assert_array_equal(retriever.coordinates.pixel_weights, weights)
    assert other.pixels is centred.pixels is retriever.pixels


def test_the_exact_index_has_no_recall_to_choose(
    tmp_path: Path, storage: Callable[..., Storage]
) -> None:
    retriever = Retriever.build(storage(tmp_path, 12), RetrievalConfig(index="exact"), seed=0)
    with pytest.raises(InputError, match="--recall"):
        retriever.with_recall(0.9, seed=0)
