"""Held-out queries: which pairs are left out, and the noise that they are made with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semtf.config import RetrievalConfig
from semtf.errors import InputError
from semtf.noise.model import NoiseModel
from semtf.retrieval.held_out import HeldOutQueries, find_noise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage, measurements

BASE = "20201001_202940_NE142400C_RAE01_1_S01_M{:04d}-01MS_{}"


def test_bases_of_one_measurement_belong_together() -> None:
    names = np.array([BASE.format(1, 1), BASE.format(2, 1), BASE.format(1, 3), "base_1", "base_2"])
    number, most = measurements(names)
    assert number[0] == number[2]
    assert len(set(number.tolist())) == 4
    assert most == 2


def test_a_measurement_is_no_neighbour_of_its_own(
    tmp_path: Path, storage: Callable[..., Storage]
) -> None:
    made = storage(tmp_path, 12)
    names = np.array([BASE.format(i // 3, i % 3) for i in range(12)])
    together = Storage(made.keys, made.values, names, made.case)
    retriever = Retriever.build(together, RetrievalConfig(index="exact"), seed=0)
    pair = np.arange(12)
    queries = HeldOutQueries(made.keys.astype(np.float32), pair)
    neighbours = queries.neighbours(retriever, 8).pair.numpy()
    assert neighbours.shape == (12, 8)
    assert (neighbours // 3 != pair[:, None] // 3).all()
    expected = retriever.search(queries.images, 12).pair.numpy()
    for found, order, own in zip(neighbours, expected, pair, strict=True):
        assert found.tolist() == [other for other in order if other // 3 != own // 3][:8]


def test_queries_are_keys_with_noise(tmp_path: Path, storage: Callable[..., Storage]) -> None:
    retriever = Retriever.build(storage(tmp_path, 20), RetrievalConfig(index="exact"), seed=0)
    offset = np.full(retriever.shape, 2.0, np.float32)
    noise = NoiseModel({"white": 3.0}, offset, {})
    queries = HeldOutQueries.make(retriever, noise, np.arange(20), seed=1)
    added = queries.images - retriever.storage.keys
    assert added.mean() == pytest.approx(2, abs=0.15)
    assert added.std() == pytest.approx(3, rel=0.05)
    np.testing.assert_array_equal(queries.true_depth(retriever), retriever.storage.values)


def test_nothing_to_find_noise_with(tmp_path: Path, storage: Callable[..., Storage]) -> None:
    retriever = Retriever.build(storage(tmp_path, 4), RetrievalConfig(index="exact"), seed=0)
    with pytest.raises(InputError, match="fab image"):
        find_noise(retriever, np.zeros((0, 24, 16), np.uint8), seed=0)
