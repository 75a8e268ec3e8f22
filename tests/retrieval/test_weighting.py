"""Weights in closed form and beside NumPy."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from semtf.retrieval import weighting

SIMILARITY = np.array([[0.98, 0.95, 0.5], [0.9, 0.9, -np.inf]], np.float32)
FUNCTIONS: list[Callable[[tf.Tensor], tf.Tensor]] = [
    partial(entry.function, **({entry.parameter: 0.02} if entry.parameter else {}))
    for entry in weighting.WEIGHT_FUNCTIONS.values()
    if not entry.coordinates
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_weights_sum_to_one_and_skip_missing_neighbours(function: Callable) -> None:
    weights = function(tf.constant(SIMILARITY)).numpy()
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert weights[1, 2] == 0
    assert (np.diff(weights[0]) <= 0).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_image_without_neighbours_has_no_weights(function: Callable) -> None:
    assert np.isnan(function(tf.fill([1, 3], -np.inf)).numpy()).all()


def test_nearest_and_uniform() -> None:
    assert weighting.nearest(tf.constant(SIMILARITY)).numpy().tolist() == [[1, 0, 0], [1, 0, 0]]
    uniform = weighting.uniform(tf.constant(SIMILARITY)).numpy()
    np.testing.assert_allclose(uniform, [[1 / 3] * 3, [0.5, 0.5, 0]])


def test_softmax_ratio_is_the_exponential_of_the_difference() -> None:
    weights = weighting.softmax(tf.constant(SIMILARITY), 0.02).numpy()
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.exp(0.03 / 0.02), rel=1e-4)


def test_inverse_distance_by_hand() -> None:
    # cosine 1/2 is the distance 1, cosine 7/8 the distance 1/2: weights 1 and 4.
    weights = weighting.inverse_distance(tf.constant([[0.875, 0.5]])).numpy()
    np.testing.assert_allclose(weights, [[0.8, 0.2]], rtol=1e-5)


def test_kernel_by_hand() -> None:
    # The last distance, 1, is the bandwidth: exp(-1/8) and exp(-1/2).
    weights = weighting.gaussian_kernel(tf.constant([[0.875, 0.5]])).numpy()
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.exp(0.375), rel=1e-5)


def slow_reconstruction(query: np.ndarray, keys: np.ndarray, ridge: float) -> np.ndarray:
    """The constrained minimum from its Lagrange equations, in double precision."""
    k = len(keys)
    difference = (query - keys).astype(float)
    gram = difference @ difference.T
    gram += ridge * np.trace(gram) / k * np.eye(k)
    system = np.block([[2 * gram, np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]])
    return np.linalg.solve(system, np.r_[np.zeros(k), 1])[:k]


@pytest.mark.parametrize("ridge", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("count", [12, 50, 120])
def test_reconstruction_is_the_constrained_minimum(ridge: float, count: int) -> None:
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(3, 50)).astype(np.float32)
    keys = queries[:, None] + generator.normal(size=(3, count, 50)).astype(np.float32)
    all_weights = weighting.reconstruction(*map(tf.constant, (queries, keys)), ridge).numpy()
    for query, its_keys, weights in zip(queries, keys, all_weights, strict=True):
        expected = slow_reconstruction(query, its_keys, ridge)
        np.testing.assert_allclose(weights, expected, atol=1e-4)
        assert weights.sum() == pytest.approx(1, abs=1e-5)


def test_reconstruction_finds_the_mixture_a_query_is_made_of() -> None:
    keys = np.random.default_rng(1).normal(size=(1, 4, 30)).astype(np.float32)
    mixture = np.array([0.7, -0.2, 0.1, 0.4], np.float32)
    weights = weighting.reconstruction(mixture @ keys[0][None], tf.constant(keys), 1e-6)
    np.testing.assert_allclose(weights[0], mixture, atol=1e-3)


@pytest.mark.parametrize("coordinates", [30, 3])
def test_reconstruction_skips_missing_places(coordinates: int) -> None:
    generator = np.random.default_rng(2)
    query, keys = (generator.normal(size=(1, *shape, coordinates)) for shape in ((), (4,)))
    query, keys = query.astype(np.float32), keys.astype(np.float32)
    present = tf.constant([[True, True, True, False]])
    found = weighting.reconstruction(query, tf.constant(keys), 0.1, present=present)
    fewer = weighting.reconstruction(query, tf.constant(keys[:, :3]), 0.075)
    np.testing.assert_allclose(found, np.pad(fewer, [[0, 0], [0, 1]]), atol=1e-4)


def test_reconstruction_from_equal_keys_is_uniform() -> None:
    weights = weighting.reconstruction(tf.ones([1, 5]), tf.ones([1, 3, 5]), 0.1)
    np.testing.assert_allclose(weights, [[1 / 3] * 3], rtol=1e-5)
