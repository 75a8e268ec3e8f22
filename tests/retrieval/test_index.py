"""The two indexes beside a sort in NumPy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval import index as module
from semtf.retrieval.index import ExactIndex, Index
from semtf.retrieval.scann_index import EFFORTS, ScannIndex

KINDS = (ExactIndex, ScannIndex)


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Clustered unit vectors, float32 ``[n, 16]``."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(40, 16))
    drawn = centres[generator.integers(0, 40, n)] + 0.3 * generator.normal(size=(n, 16))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 15, 16, 300])
def test_search_is_a_sort_by_product(kind: type[Index], size: int) -> None:
    embeddings, queries = clustered(size), clustered(20, 1)
    product, embedding = kind.build(embeddings).search(tf.constant(queries), 5)
    expected = queries @ embeddings.T
    order = np.argsort(-expected, axis=1)[:, :5]
    np.testing.assert_array_equal(embedding, order)
    np.testing.assert_allclose(product, np.take_along_axis(expected, order, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "chunk"), [(1, 1 << 25), (5, 1 << 25), (5, 1000)])
def test_groups_are_found_by_their_best_embedding(
    kind: type[Index], size: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXACT_CELLS", chunk)
    embeddings, queries = clustered(300), clustered(20, 1)
    queries[3, 2] = np.nan
    product, embedding = kind.build(embeddings).search_groups(tf.constant(queries), 7, size, 300, 7)
    expected = queries @ embeddings.T
    for query in set(range(20)) - {3}:
        groups = expected[query].reshape(-1, size)
        best = np.argsort(-groups.max(axis=1))[:7]
        assert (
            embedding[query].numpy().tolist()
            == (best * size + groups[best].argmax(axis=1)).tolist()
        )
        np.testing.assert_allclose(product[query], groups[best].max(axis=1), atol=1e-5)
    assert np.isneginf(product[3]).all()
    empty = kind.build(embeddings).search_groups(tf.zeros([0, 16]), 7, size, 300, 7)
    assert [part.shape for part in empty] == [(0, 7), (0, 7)]


@pytest.mark.parametrize("kind", KINDS)
def test_nan_query_finds_nothing_and_spares_the_others(kind: type[Index]) -> None:
    queries = clustered(3, 1)
    queries[1, 4] = np.nan
    product, embedding = kind.build(clustered(50)).search(tf.constant(queries), 4)
    assert np.isneginf(product.numpy()[1]).all()
    assert not embedding.numpy()[1].any()
    assert np.isfinite(product.numpy()[[0, 2]]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batch(kind: type[Index]) -> None:
    product, embedding = kind.build(clustered(50)).search(tf.zeros([0, 16]), 4)
    assert product.shape == embedding.shape == (0, 4)


def test_hashed_search_keeps_its_recall_and_its_bytes(tmp_path: Path) -> None:
    embeddings, queries = clustered(25_000), clustered(200, 1)
    index = ScannIndex.build(embeddings, clustered(100, 2), recall=0.95)
    assert index.hashed
    exact = np.argsort(-(queries @ embeddings.T), axis=1)[:, :32]
    approximate = index.search(tf.constant(queries), 128).embedding.numpy()
    hits = [np.isin(e, f).mean() for e, f in zip(exact, approximate, strict=True)]
    assert np.mean(hits) > 0.93

    index.save(tmp_path)
    loaded = ScannIndex.load(tmp_path)
    assert loaded.effort == index.effort
    np.testing.assert_array_equal(loaded.search(tf.constant(queries), 128).embedding, approximate)
    again = ScannIndex.build(embeddings, clustered(100, 2), recall=0.95)
    np.testing.assert_array_equal(again.search(tf.constant(queries), 128).embedding, approximate)


@pytest.mark.parametrize(("count", "least"), [(1000, 20), (20, 20), (20, 3)])
def test_hashed_search_looks_again_for_groups_that_lack(count: int, least: int) -> None:
    # The 25 embeddings of a group are neighbours: 20 of them hold one group or two.
    embeddings = np.repeat(clustered(1000), 25, axis=0) + clustered(25_000, 3) / 50
    queries = clustered(40, 1)
    queries[3, 2] = np.nan
    index = ScannIndex.build(embeddings, clustered(100, 2))
    assert index.hashed
    product, embedding = index.search_groups(tf.constant(queries), 20, 25, count, least)
    present = product.numpy() > -np.inf
    assert not present[3].any()
    assert (present.sum(axis=1)[np.arange(40) != 3] >= least).all()
    for query in set(range(40)) - {3}:
        best = embedding.numpy()[query][present[query]]
        assert len(set(best // 25)) == len(best)
        np.testing.assert_allclose(
            product[query][present[query]], embeddings[best] @ queries[query], atol=1e-5
        )


def test_few_leaves_that_hold_less_than_is_wanted() -> None:
    embeddings, queries = clustered(25_000), tf.constant(clustered(40, 1))
    index = ScannIndex.build(embeddings, clustered(100, 2), recall=0.01)
    assert index.effort == EFFORTS[0]
    product, embedding = index.search(queries, 4000)
    assert product.shape == embedding.shape == (40, 4000)
    present = product.numpy() > -np.inf
    assert 0 < present.mean() < 0.5
    assert not embedding.numpy()[~present].any()
    # Groups are completed all the same: the two leaves hold less than 150 of 1000.
    product, embedding = index.search_groups(queries, 150, 25, 600, 150)
    assert np.isfinite(product).all()
    for row in embedding.numpy() // 25:
        assert len(set(row)) == 150


def test_full_recall_takes_more_effort() -> None:
    embeddings, sample = clustered(25_000), clustered(100, 2)
    little = ScannIndex.build(embeddings, sample, recall=0.1).effort
    much = ScannIndex.build(embeddings, sample, recall=1.0).effort
    assert EFFORTS.index(little) == 0
    assert EFFORTS.index(much) > 0


def test_exact_index_on_disk_serves_scann(tmp_path: Path) -> None:
    ExactIndex.build(clustered(100)).save(tmp_path)
    queries = tf.constant(clustered(5, 1))
    scann = ScannIndex.load(tmp_path).search(queries, 3).embedding
    np.testing.assert_array_equal(scann, ExactIndex.load(tmp_path).search(queries, 3).embedding)


def test_scann_that_does_not_load_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scann.scann_ops.py", None)
    with pytest.raises(InputError, match="--index exact") as error:
        ScannIndex.build(clustered(5))
    assert "\n" not in str(error.value)


BUILD = """
import sys
import numpy as np
from semtf.retrieval.scann_index import ScannIndex
embeddings = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
embeddings[:int(sys.argv[1])] = np.nan
assert ScannIndex.build(embeddings).hashed
"""


@pytest.mark.parametrize(("broken", "level"), [(0, "3"), (1, "3"), (0, "0")])
def test_scann_is_quiet_and_its_errors_are_not(broken: int, level: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(broken)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": level},
        capture_output=True,
        text=True,
        check=False,
    )
    if broken:
        assert done.returncode == 1
        assert "not finite" in done.stderr.splitlines()[-1]
    else:
        assert done.returncode == 0
        # With --debug the level is 0.
        assert ("partitioner_factory" in done.stderr) == (level == "0")
        assert level == "0" or done.stderr == ""
