"""The largest values by blocks beside `tf.math.top_k` of all."""

import numpy as np
import pytest
import tensorflow as tf

from semtf.retrieval.topk import first_of_groups, top_k


@pytest.mark.parametrize("length", [1, 31, 800, 1000, 1003])
@pytest.mark.parametrize("k", [1, 7, 12])
@pytest.mark.parametrize("levels", [3, 10**6])
def test_values_and_indices_are_those_of_top_k(length: int, k: int, levels: int) -> None:
    # Few levels make many ties, of which the first count.
    drawn = np.random.default_rng(length).integers(0, levels, (5, length))
    values = tf.constant(drawn / levels - 0.5, tf.float32)
    best, index = top_k(values, min(k, length))
    expected = tf.math.top_k(values, min(k, length))
    np.testing.assert_array_equal(best, expected.values)
    np.testing.assert_array_equal(index, expected.indices)


def test_all_in_one_block() -> None:
    values = np.zeros((2, 640), np.float32)
    values[0, 330:340] = np.arange(10, 0, -1)
    values[1, ::64] = 1
    best, index = top_k(tf.constant(values), 9)
    np.testing.assert_array_equal(index[0], np.arange(330, 339))
    np.testing.assert_array_equal(best[0], np.arange(10, 1, -1))
    np.testing.assert_array_equal(index[1], np.arange(9) * 64)


def test_first_of_groups_are_the_best_of_each() -> None:
    group = tf.constant([[7, 7, 2, 7, 9, 2], [1, 1, 1, 1, 1, 1], [3, 4, 0, 0, 0, 0]])
    value = tf.constant([[6.0, 5, 4, 3, 2, 1]] * 2 + [[6.0, 5] + [-np.inf] * 4])
    index, present = first_of_groups(group, value, 3)
    assert index.numpy()[0].tolist() == [0, 2, 4]
    assert present.numpy().tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    assert index.numpy()[1, 0] == 0
    assert index.numpy()[2, :2].tolist() == [0, 1]
