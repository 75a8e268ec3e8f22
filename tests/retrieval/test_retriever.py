"""The retriever beside a slow and obvious search in NumPy."""

import typing
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move_image

from semtf.config import RetrievalConfig, Weights
from semtf.errors import InputError
from semtf.retrieval.embedding import normalise
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

    for image, pair, shift, similarity in zip(
        queries, *(x.numpy() for x in found[:3]), strict=True
    ):
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
    assert [x.shape.as_list() for x in empty] == [[0, 2], [0, 2, 2], [0, 2], [0, 2, 2]]


def test_shifts_of_one_pair_do_not_crowd_out_the_others(tmp_path: Path) -> None:
    # Wide blobs: the 25 shifts of a key are closer to it than any other key.
    pairs = storage(tmp_path, 20)
    config = RetrievalConfig(index="exact", candidates=1, rerank=12)
    found = Retriever.build(pairs, config, seed=0).search(pairs.keys[:6], 12)
    assert np.isfinite(found.similarity).all()
    for row, own in zip(found.pair.numpy(), range(6), strict=True):
        assert row[0] == own
        assert len(set(row)) == 12


@pytest.mark.parametrize("weights", ["nearest", "softmax", "reconstruction"])
def test_nan_image_gives_nan_and_spares_the_others(tmp_path: Path, weights: Weights) -> None:
    pairs = storage(tmp_path, 10)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    images = pairs.keys[:3].astype(np.float32)
    images[1, 5, 5] = np.nan
    depth = retriever.depth(images, 4, weights)[0].numpy()
    assert np.isnan(depth[1]).all()
    np.testing.assert_allclose(
        depth[[0, 2]], retriever.depth(images[[0, 2]], 4, weights)[0], atol=1e-3
    )


@pytest.mark.parametrize("weights", typing.get_args(Weights))
def test_where_all_values_agree_so_does_the_depth(tmp_path: Path, weights: Weights) -> None:
    values = np.minimum(blobs(12, 1), 140)
    values[:, :9] = 140
    names = np.array([f"b{i}" for i in range(12)])
    pairs = Storage.create(tmp_path, case=1, keys=blobs(12, 0), values=values, names=names)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    depth, _, weight = retriever.depth(blobs(5, 9), 8, weights)
    np.testing.assert_allclose(tf.reduce_sum(weight, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(depth[:, :7], 140)


def test_keys_and_values_are_moved_and_blended(tmp_path: Path) -> None:
    pairs = storage(tmp_path, 10)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    depth, found, weight = retriever.depth(blobs(4, 9), 3, "softmax")
    keys, values = retriever.pixels.keys(found).numpy(), retriever.pixels.values(found).numpy()
    for q, k in np.ndindex(4, 3):
        pair, shift = int(found.pair[q, k]), tuple(found.shift[q, k].numpy())
        np.testing.assert_array_equal(keys[q, k], replicated(pairs.keys[pair], shift))
        np.testing.assert_array_equal(values[q, k], replicated(pairs.values[pair], shift))
    np.testing.assert_allclose(depth, np.einsum("qk,qkhw->qhw", weight, values), atol=1e-3)


def test_residual_is_the_image_less_its_weighted_keys(tmp_path: Path) -> None:
    retriever = Retriever.build(storage(tmp_path, 10), RetrievalConfig(), seed=0)
    images = tf.constant(blobs(4, 9), tf.float32)
    _, found, weight = retriever.depth(images, 5, "reconstruction")
    keys = retriever.pixels.keys(found).numpy().reshape(20, 24, 16)
    keys = normalise(tf.constant(keys)).numpy().reshape(4, 5, 24, 16)
    expected = normalise(images).numpy() - np.einsum("qk,qkhw->qhw", weight, keys)
    np.testing.assert_allclose(retriever.residual(images, found, weight), expected, atol=1e-5)


def test_centred_keys_find_the_same_pairs_with_one_row_each(tmp_path: Path) -> None:
    pairs = storage(tmp_path, 60)
    config = RetrievalConfig(align="centre", shift=1, rerank=60)
    retriever = Retriever.build(pairs, config, seed=0)
    assert retriever.index.rows.shape[0] == 60
    queries = blobs(6, 9).astype(np.float32)
    expected = Retriever.build(pairs, RetrievalConfig(shift=1), seed=0).search(queries, 4)
    found = retriever.search(queries, 4)
    tf.nest.map_structure(np.testing.assert_array_equal, tuple(found), tuple(expected))


def test_extended_keeps_the_projection(tmp_path: Path) -> None:
    pairs = storage(tmp_path / "a", 12)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    names = np.array([f"new_{i}" for i in range(3)])
    longer = pairs.extended(tmp_path / "b", keys=blobs(3, 5), values=blobs(3, 6), names=names)
    more = retriever.extended(longer, seed=0)
    np.testing.assert_array_equal(more.pca.components, retriever.pca.components)
    assert more.search(blobs(3, 5), 1).pair.numpy().ravel().tolist() == [12, 13, 14]
    assert more.search(pairs.keys[:4], 1).pair.numpy().ravel().tolist() == [0, 1, 2, 3]


def test_other_storage_or_folder_is_refused(tmp_path: Path) -> None:
    Retriever.build(storage(tmp_path / "a", 12), RetrievalConfig(), seed=0).save(tmp_path / "index")
    with pytest.raises(InputError, match="built on 12 pairs"):
        Retriever.load(tmp_path / "index", storage(tmp_path / "b", 9))
    with pytest.raises(InputError, match="not a retrieval folder"):
        Retriever.load(tmp_path / "a", storage(tmp_path / "b", 9))


def test_traced_into_a_saved_model(tmp_path: Path) -> None:
    retriever = Retriever.build(storage(tmp_path / "s", 12), RetrievalConfig(index="exact"), seed=0)
    module = tf.Module()
    module.retriever = retriever
    module.depth = tf.function(
        lambda images: retriever.depth(images, 4, "reconstruction")[0],
        input_signature=[tf.TensorSpec([None, 24, 16])],
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = tf.constant(blobs(5, 9), tf.float32)
    expected = retriever.depth(images, 4, "reconstruction")[0]
    np.testing.assert_allclose(loaded.depth(images), expected, atol=1e-3)


def test_fractions_of_a_pixel_align_better_than_whole_ones(tmp_path: Path) -> None:
    keys = blobs(20, 0)
    names = np.array([f"b{i}" for i in range(20)])
    pairs = Storage.create(tmp_path, case=1, keys=keys, values=keys, names=names)
    by = (0.4, -1.3)
    queries = np.stack([move_image(k.astype(float), by, order=1, mode="nearest") for k in keys])
    whole = Retriever.build(pairs, RetrievalConfig(), seed=0)
    finer = Retriever.build(pairs, RetrievalConfig(subpixel=True), seed=0)
    errors = []
    for retriever in (whole, finer):
        depth, found, _ = retriever.depth(queries.astype(np.float32), 1, "nearest")
        errors.append(float(np.sqrt(np.mean(np.square(depth - queries)))))
    assert errors[1] < 0.5 * errors[0]
    place = found.shift.numpy()[:, 0] + found.fraction.numpy()[:, 0]
    np.testing.assert_allclose(place, [by] * 20, atol=0.25)
    assert not whole.search(queries.astype(np.float32), 1).fraction.numpy().any()


def test_neighbours_beyond_the_reranked_follow_from_the_index(tmp_path: Path) -> None:
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


def test_reconstruction_from_a_pool_keeps_its_heaviest_neighbours(tmp_path: Path) -> None:
    pairs = storage(tmp_path, 60)
    config = RetrievalConfig(pool=40, rerank=40, index="exact")
    retriever = Retriever.build(pairs, config, seed=0)
    queries = blobs(4, 9).astype(np.float32)
    found = retriever.search(queries, 40)
    size = np.abs(retriever.weights(queries, found, "reconstruction"))
    _, kept, weight = retriever.depth(queries, 10, "reconstruction")
    np.testing.assert_allclose(tf.reduce_sum(weight, axis=1), 1, atol=1e-5)
    for pairs_of, all_pairs, sizes in zip(kept.pair.numpy(), found.pair.numpy(), size, strict=True):
        assert set(pairs_of) == set(all_pairs[np.argsort(-sizes)[:10]])
