"""The largest values by blocks beside `tf.math.top_k` of all."""

import numpy as np
import pytest
import tensorflow as tf

from semtf.retrieval.topk import top_k


@pytest.mark.parametrize("length", [1, 31, 800, 1000, 1003])
@pytest.mark.parametrize("k", [1, 7, 12])
@pytest.mark.parametrize("levels", [3, 10**6])
def test_values_and_places_are_those_of_top_k(length: int, k: int, levels: int) -> None:
    # Few levels make many ties, of which the first places count.
    drawn = np.random.default_rng(length).integers(0, levels, (5, length))
    values = tf.constant(drawn / levels - 0.5, tf.float32)
    best, place = top_k(values, min(k, length))
    expected = tf.math.top_k(values, min(k, length))
    np.testing.assert_array_equal(best, expected.values)
    np.testing.assert_array_equal(place, expected.indices)


def test_all_in_one_block() -> None:
    values = np.zeros((2, 640), np.float32)
    values[0, 330:340] = np.arange(10, 0, -1)
    values[1, ::64] = 1
    best, place = top_k(tf.constant(values), 9)
    np.testing.assert_array_equal(place[0], np.arange(330, 339))
    np.testing.assert_array_equal(best[0], np.arange(10, 1, -1))
    np.testing.assert_array_equal(place[1], np.arange(9) * 64)
