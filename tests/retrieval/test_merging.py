"""What several searches find, merged, is what one search of all pairs finds."""

import numpy as np
import pytest

from semtf.retrieval.merging import Found, merged, storage_of


def found(product: list, pair: list) -> Found:
    product, pair = np.array(product, np.float32), np.array(pair, np.int64)
    return Found(product, pair, (pair % 3).astype(np.int32))


def test_the_best_of_all_come_first() -> None:
    first = found([[0.9, 0.2], [0.4, 0.1]], [[4, 8], [8, 4]])
    second = found([[0.8, 0.3], [0.5, -np.inf]], [[5, 7], [7, 0]])
    best = merged([first, second], 3)
    assert best.pair.tolist() == [[4, 5, 7], [7, 8, 4]]
    assert best.member.tolist() == [[1, 2, 1], [1, 2, 1]]
    assert best.product[1].tolist() == pytest.approx([0.5, 0.4, 0.1])


def test_of_equal_products_the_smaller_position_comes_first() -> None:
    best = merged([found([[0.5, 0.5]], [[6, 9]]), found([[0.5]], [[2]])], 3)
    assert best.pair.tolist() == [[2, 6, 9]]


def test_a_storage_with_fewer_pairs_than_wanted_and_one_with_none() -> None:
    nothing = Found(
        np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int32)
    )
    assert merged([found([[0.5]], [[6]]), nothing], 4).pair.tolist() == [[6]]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_spread_gives_the_same_answer(count: int) -> None:
    generator = np.random.default_rng(count)
    # Few different products, so that many are equal.
    products = generator.integers(0, 12, (4, 60)).astype(np.float32)
    whole = np.lexsort((np.broadcast_to(np.arange(60), products.shape), -products), axis=1)[:, :9]
    owner = storage_of(map(str, range(60)), count)
    parts = []
    for i in range(count):
        own = np.flatnonzero(owner == i)
        order = np.argsort(-products[:, own], axis=1, kind="stable")[:, :9]
        pair = own[order]
        parts.append(Found(np.take_along_axis(products, pair, 1), pair, pair.astype(np.int32)))
    assert np.array_equal(merged(parts, 9).pair, whole)


def test_pairs_are_spread_evenly_and_by_their_names_alone() -> None:
    names = [f"hole_{i}" for i in range(4000)]
    owner = storage_of(names, 4)
    assert np.bincount(owner).min() > 900
    assert np.array_equal(storage_of(names[::-1], 4)[::-1], owner)
    assert owner[:3].tolist() == [storage_of([name], 4)[0] for name in names[:3]]
