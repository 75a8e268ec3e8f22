"""The two indexes beside a sort in NumPy."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval import index as module
from semtf.retrieval.embeddings import distinct
from semtf.retrieval.index import ExactIndex, Index
from semtf.retrieval.scann_index import EFFORTS, ScannIndex

KINDS = (ExactIndex, ScannIndex)


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Clustered unit vectors, float32 ``[n, 16]``."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(40, 16))
    drawn = centres[generator.integers(0, 40, n)] + 0.3 * generator.normal(size=(n, 16))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [1, 15, 16, 300])
def test_search_is_a_sort_by_product(kind: type[Index], stored: int) -> None:
    there, queries = rows(stored), rows(20, 1)
    product, row = kind.build(there).search(tf.constant(queries), 5)
    expected = queries @ there.T
    order = np.argsort(-expected, axis=1)[:, :5]
    np.testing.assert_array_equal(row, order)
    np.testing.assert_allclose(product, np.take_along_axis(expected, order, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "chunk"), [(1, 1 << 25), (5, 1 << 25), (5, 1000)])
def test_groups_are_found_by_their_best_row(
    kind: type[Index], size: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT_CELLS", chunk)
    there, queries = rows(300), rows(20, 1)
    queries[3, 2] = np.nan
    product, row = kind.build(there).search_groups(tf.constant(queries), 7, size, 300, 7)
    expected = queries @ there.T
    for query in set(range(20)) - {3}:
        groups = expected[query].reshape(-1, size)
        best = np.argsort(-groups.max(axis=1))[:7]
        assert row[query].numpy().tolist() == (best * size + groups[best].argmax(axis=1)).tolist()
        np.testing.assert_allclose(product[query], groups[best].max(axis=1), atol=1e-5)
    assert np.isneginf(product[3]).all()
    empty = kind.build(there).search_groups(tf.zeros([0, 16]), 7, size, 300, 7)
    assert [part.shape for part in empty] == [(0, 7), (0, 7)]


@pytest.mark.parametrize("kind", KINDS)
def test_nan_query_finds_nothing_and_spares_the_others(kind: type[Index]) -> None:
    queries = rows(3, 1)
    queries[1, 4] = np.nan
    product, row = kind.build(rows(50)).search(tf.constant(queries), 4)
    assert np.isneginf(product.numpy()[1]).all()
    assert not row.numpy()[1].any()
    assert np.isfinite(product.numpy()[[0, 2]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch(kind: type[Index]) -> None:
    product, row = kind.build(rows(50)).search(tf.zeros([0, 16]), 4)
    assert product.shape == row.shape == (0, 4)


def test_hashed_search_keeps_its_recall_and_its_bytes(tmp_path: Path) -> None:
    there, queries = rows(25_000), rows(200, 1)
    index = ScannIndex.build(there, rows(100, 2), recall=0.95)
    assert index.hashed
    exact = np.argsort(-(queries @ there.T), axis=1)[:, :32]
    found = index.search(tf.constant(queries), 128)[1].numpy()
    hits = [np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]
    assert np.mean(hits) > 0.93

    index.save(tmp_path)
    loaded = ScannIndex.load(tmp_path)
    assert loaded.effort == index.effort
    np.testing.assert_array_equal(loaded.search(tf.constant(queries), 128)[1], found)
    again = ScannIndex.build(there, rows(100, 2), recall=0.95)
    np.testing.assert_array_equal(again.search(tf.constant(queries), 128)[1], found)


@pytest.mark.parametrize(("count", "least"), [(1000, 20), (20, 20), (20, 3)])
def test_hashed_search_looks_again_for_groups_that_lack(count: int, least: int) -> None:
    # The 25 rows of a group are neighbours: 20 of them hold one group or two.
    there = np.repeat(rows(1000), 25, axis=0) + rows(25_000, 3) / 50
    queries = rows(40, 1)
    queries[3, 2] = np.nan
    index = ScannIndex.build(there, rows(100, 2))
    assert index.hashed
    product, row = index.search_groups(tf.constant(queries), 20, 25, count, least)
    found = product.numpy() > -np.inf
    assert not found[3].any()
    assert (found.sum(axis=1)[np.arange(40) != 3] >= least).all()
    for query in set(range(40)) - {3}:
        best = row.numpy()[query][found[query]]
        assert len(set(best // 25)) == len(best)
        np.testing.assert_allclose(
            product[query][found[query]], there[best] @ queries[query], atol=1e-5
        )


def test_full_recall_takes_more_effort() -> None:
    there, sample = rows(25_000), rows(100, 2)
    little = ScannIndex.build(there, sample, recall=0.1).effort
    much = ScannIndex.build(there, sample, recall=1.0).effort
    assert EFFORTS.index(little) == 0
    assert EFFORTS.index(much) > 0


def test_exact_index_on_disk_serves_scann(tmp_path: Path) -> None:
    ExactIndex.build(rows(100)).save(tmp_path)
    queries = tf.constant(rows(5, 1))
    found = ScannIndex.load(tmp_path).search(queries, 3)[1]
    np.testing.assert_array_equal(found, ExactIndex.load(tmp_path).search(queries, 3)[1])


def test_scann_that_does_not_load_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scann.scann_ops.py", None)
    with pytest.raises(InputError, match="--index exact") as error:
        ScannIndex.build(rows(5))
    assert "\n" not in str(error.value)


def test_distinct_keeps_the_best_of_each_pair() -> None:
    pair = tf.constant([[7, 7, 2, 7, 9, 2], [1, 1, 1, 1, 1, 1], [3, 4, 0, 0, 0, 0]])
    similarity = tf.constant([[6.0, 5, 4, 3, 2, 1]] * 2 + [[6.0, 5] + [-np.inf] * 4])
    place, there = distinct(pair, similarity, 3)
    assert place.numpy()[0].tolist() == [0, 2, 4]
    assert there.numpy().tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    assert place.numpy()[1, 0] == 0
    assert place.numpy()[2, :2].tolist() == [0, 1]
