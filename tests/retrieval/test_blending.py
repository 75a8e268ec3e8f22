"""Depth blended from neighbours, beside sums in NumPy."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift as move_image

from semtf.config import WEIGHTS, RetrievalConfig, Weights
from semtf.errors import InputError
from semtf.retrieval.blending import Blended, Blending, blend, neighbour_weights, residual
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage
from semtf.retrieval.weighting import WEIGHT_FUNCTIONS, register


def estimated(retriever: Retriever, images: tf.Tensor, k: int, weights: Weights) -> Blended:
    """What the estimator does with the images of a case."""
    blending = Blending(k, weights)
    found = retriever.search(images, blending.num_candidates(retriever.config))
    return blend(retriever, images, found, blending)


def replicated(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """The slow version of a shift: SciPy's, edges replicated."""
    moved: np.ndarray = move_image(image, shift, order=0, mode="nearest")
    return moved


@pytest.mark.parametrize("weights", ["nearest", "softmax", "reconstruction"])
def test_nan_image_gives_nan_and_spares_the_others(
    tmp_path: Path, weights: Weights, storage: Callable[..., Storage]
) -> None:
    pairs = storage(tmp_path, 10)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    images = pairs.keys[:3].astype(np.float32)
    images[1, 5, 5] = np.nan
    depth = estimated(retriever, images, 4, weights).depth.numpy()
    assert np.isnan(depth[1]).all()
    np.testing.assert_allclose(
        depth[[0, 2]], estimated(retriever, images[[0, 2]], 4, weights).depth, atol=1e-3
    )


@pytest.mark.parametrize("weights", list(WEIGHT_FUNCTIONS))
def test_where_all_values_agree_so_does_the_depth(
    tmp_path: Path, weights: Weights, blobs: Callable[..., np.ndarray]
) -> None:
    values = np.minimum(blobs(12, 1), 140)
    values[:, :9] = 140
    names = np.array([f"b{i}" for i in range(12)])
    pairs = Storage.create(tmp_path, case=1, keys=blobs(12, 0), values=values, names=names)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    depth, _, weight = estimated(retriever, blobs(5, 9), 8, weights)
    np.testing.assert_allclose(tf.reduce_sum(weight, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(depth[:, :7], 140)


def test_keys_and_values_are_moved_and_blended(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    pairs = storage(tmp_path, 10)
    retriever = Retriever.build(pairs, RetrievalConfig(), seed=0)
    depth, found, weight = estimated(retriever, blobs(4, 9), 3, "softmax")
    keys, values = retriever.pixels.keys(found).numpy(), retriever.pixels.values(found).numpy()
    for q, k in np.ndindex(4, 3):
        pair, shift = int(found.pair[q, k]), tuple(found.shift[q, k].numpy())
        np.testing.assert_array_equal(keys[q, k], replicated(pairs.keys[pair], shift))
        np.testing.assert_array_equal(values[q, k], replicated(pairs.values[pair], shift))
    np.testing.assert_allclose(depth, np.einsum("qk,qkhw->qhw", weight, values), atol=1e-3)


def test_residual_is_the_image_less_its_weighted_keys(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    retriever = Retriever.build(storage(tmp_path, 10), RetrievalConfig(), seed=0)
    images = tf.constant(blobs(4, 9), tf.float32)
    _, found, weight = estimated(retriever, images, 5, "reconstruction")
    keys = retriever.pixels.keys(found).numpy().reshape(20, 24, 16)
    keys = normalise(tf.constant(keys)).numpy().reshape(4, 5, 24, 16)
    expected = normalise(images).numpy() - np.einsum("qk,qkhw->qhw", weight, keys)
    np.testing.assert_allclose(residual(retriever, images, found, weight), expected, atol=1e-5)


def test_traced_into_a_saved_model(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    retriever = Retriever.build(storage(tmp_path / "s", 12), RetrievalConfig(index="exact"), seed=0)
    module = tf.Module()
    module.retriever = retriever
    module.depth = tf.function(
        lambda images: estimated(retriever, images, 4, "reconstruction").depth,
        input_signature=[tf.TensorSpec([None, 24, 16])],
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = tf.constant(blobs(5, 9), tf.float32)
    expected = estimated(retriever, images, 4, "reconstruction").depth
    np.testing.assert_allclose(loaded.depth(images), expected, atol=1e-3)


def test_fractions_of_a_pixel_align_better_than_whole_ones(
    tmp_path: Path, blobs: Callable[..., np.ndarray]
) -> None:
    keys = blobs(20, 0)
    names = np.array([f"b{i}" for i in range(20)])
    pairs = Storage.create(tmp_path, case=1, keys=keys, values=keys, names=names)
    by = (0.4, -1.3)
    queries = np.stack([move_image(k.astype(float), by, order=1, mode="nearest") for k in keys])
    whole = Retriever.build(pairs, RetrievalConfig(), seed=0)
    finer = Retriever.build(pairs, RetrievalConfig(subpixel=True), seed=0)
    errors = []
    for retriever in (whole, finer):
        depth, found, _ = estimated(retriever, queries.astype(np.float32), 1, "nearest")
        errors.append(float(np.sqrt(np.mean(np.square(depth - queries)))))
    assert errors[1] < 0.5 * errors[0]
    offset = found.shift.numpy()[:, 0] + found.fraction.numpy()[:, 0]
    np.testing.assert_allclose(offset, [by] * 20, atol=0.25)
    assert not whole.search(queries.astype(np.float32), 1).fraction.numpy().any()


def test_reconstruction_from_a_pool_keeps_its_heaviest_neighbours(
    tmp_path: Path, storage: Callable[..., Storage], blobs: Callable[..., np.ndarray]
) -> None:
    pairs = storage(tmp_path, 60)
    config = RetrievalConfig(pool=40, rerank=40, index="exact")
    retriever = Retriever.build(pairs, config, seed=0)
    queries = blobs(4, 9).astype(np.float32)
    found = retriever.search(queries, 40)
    size = np.abs(neighbour_weights(retriever, queries, found, "reconstruction"))
    _, kept, weight = estimated(retriever, queries, 10, "reconstruction")
    np.testing.assert_allclose(tf.reduce_sum(weight, axis=1), 1, atol=1e-5)
    for pairs_of, all_pairs, sizes in zip(kept.pair.numpy(), found.pair.numpy(), size, strict=True):
        assert set(pairs_of) == set(all_pairs[np.argsort(-sizes)[:10]])


def test_a_blending_is_what_is_given_or_what_the_settings_say() -> None:
    config = RetrievalConfig(neighbours=16, weights="softmax")
    assert Blending.of(config) == Blending(16, "softmax")
    assert Blending.of(config, 3) == Blending(3, "softmax")
    assert Blending.of(config, weights="kernel") == Blending(16, "kernel")
    with pytest.raises(InputError, match=r"--weights magic: .* nearest, uniform"):
        Blending.of(config, weights="magic")


def test_a_weight_function_registered_at_run_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: Callable[..., Storage],
    blobs: Callable[..., np.ndarray],
) -> None:
    # Entries made here are taken back when the test ends.
    for table in (WEIGHTS, WEIGHT_FUNCTIONS):
        monkeypatch.setitem(table, "rank", None)
        del table["rank"]

    @register("rank", "one over the rank")
    def by_rank(similarity: tf.Tensor) -> tf.Tensor:
        weights = 1.0 / tf.range(1.0, similarity.shape[1] + 1.0)
        return tf.ones_like(similarity) * weights / tf.reduce_sum(weights)

    config = RetrievalConfig(weights="rank", neighbours=3)
    retriever = Retriever.build(storage(tmp_path, 10), config, seed=0)
    images = blobs(4, 9).astype(np.float32)
    depth, found, weights = estimated(retriever, images, 3, "rank")
    np.testing.assert_allclose(weights, [np.array([6, 3, 2]) / 11] * 4, rtol=1e-6)
    values = retriever.pixels.values(found)
    np.testing.assert_allclose(depth, np.einsum("qk,qkhw->qhw", weights, values), atol=1e-3)
    with pytest.raises(ValueError, match="registered already"):
        register("rank", "the same again")
    with pytest.raises(ValueError, match="description"):
        register("other")


def test_the_table_of_weights_is_complete_and_documented() -> None:
    assert list(WEIGHT_FUNCTIONS) == list(WEIGHTS)
    text = (Path(__file__).parents[2] / "docs" / "retrieval.md").read_text(encoding="utf-8")
    table = text.partition("| `retrieval.weights` |")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.M)) == WEIGHTS
