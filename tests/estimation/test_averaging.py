"""Retrieval and regression side by side."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.estimation.averaging import (
    Average,
    Estimates,
    average,
    best_share,
    choose_average,
)
from semtf.estimation.regression import Regression, RegressionFit
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import Blending
from semtf.retrieval.held_out import HeldOutQueries
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever


@pytest.fixture(scope="module")
def fab(retriever: Retriever, noise: NoiseModel) -> np.ndarray:
    """Fab images of a perfect adaptation: keys with the fab's noise."""
    images = noise.added(retriever.storage.keys[:60], np.random.default_rng(5))
    return images.clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def noise(retriever: Retriever) -> NoiseModel:
    return NoiseModel({"white": 4.0}, np.zeros(retriever.shape, np.float32), {})


def test_the_average_by_hand() -> None:
    retrieved, regressed = tf.constant([[[140.0, 100.0]]]), tf.constant([[[130.0, 90.0]]])
    # Where neighbours agree retrieval counts alone; with a spread of 1 half of the share does.
    made = average(retrieved, tf.constant([[[0.0, 1.0]]]), regressed, 0.6)
    np.testing.assert_allclose(made.depth, [[[140.0, 97.0]]], rtol=1e-6)
    np.testing.assert_allclose(made.difference, [[[-10.0, -10.0]]])


def test_the_regression_is_that_of_least_squares(retriever: Retriever, noise: NoiseModel) -> None:
    quiet = NoiseModel({}, noise.offset, {})
    fit = RegressionFit.of(retriever, quiet, seed=0)
    penalty = 1e-4
    regression = fit.solved(penalty)
    flat = normalise(retriever.storage.keys).numpy().reshape(len(retriever.storage), -1)
    features = np.concatenate([flat @ fit.components, np.ones((len(flat), 1))], axis=1)
    features = features.astype(np.float64)
    below = 140 - retriever.storage.values.reshape(len(flat), -1).astype(float)
    moment = features.T @ features
    ridge = penalty * np.diag(moment)[:-1].max() * np.append(np.ones(len(moment) - 1), 1e-6)
    expected = 140 - np.maximum(
        0, features @ np.linalg.solve(moment + np.diag(ridge), features.T @ below)
    )
    depth = regression(tf.constant(retriever.storage.keys)).numpy().reshape(len(flat), -1)
    np.testing.assert_allclose(depth, expected, atol=0.02)
    assert depth.max() <= 140


def test_a_query_is_unknown_to_its_regression(retriever: Retriever, noise: NoiseModel) -> None:
    fit = RegressionFit.of(retriever, noise, seed=0)
    queries = HeldOutQueries.make(retriever, noise, np.arange(40), seed=1)
    truth = queries.true_depth(retriever)
    known = fit.solved(1e-4)(tf.constant(queries.images)).numpy()
    held_out = fit.held_out_depth(queries, 1e-4)
    assert np.mean((held_out - truth) ** 2) > np.mean((known - truth) ** 2)


def test_the_share_of_least_error_is_chosen(
    retriever: Retriever, noise: NoiseModel, fab: np.ndarray
) -> None:
    chosen, estimates = choose_average(retriever, noise, np.arange(100), fab, seed=0)
    assert 0 <= chosen.share <= 0.5
    assert chosen.rmse == {
        name: pytest.approx(estimates.rmse(share))
        for name, share in (("retrieval", 0.0), ("average", chosen.share), ("regression", 1.0))
    }
    # On images like the queries it is the least error of all shares up to one half.
    least = min(estimates.rmse(share) for share in np.linspace(0, 0.5, 101))
    share = best_share(estimates, float(np.mean(np.square(estimates.difference()))))
    assert estimates.rmse(share) == pytest.approx(least, rel=1e-5)
    assert chosen.retrieval_alone().name == "retrieval"


def test_the_share_falls_where_estimators_differ_more_on_the_fab(
    retriever: Retriever, noise: NoiseModel, fab: np.ndarray
) -> None:
    _, estimates = choose_average(retriever, noise, np.arange(100), fab, seed=0)
    moved = estimates.combined(1.0).depth.numpy() - estimates.retrieved
    error = estimates.retrieved - estimates.truth
    square, product = float(np.mean(moved**2)), float(np.mean(error * moved))
    assert product < 0
    excess = -0.4 * product
    expected = min(-(product + 0.5 * excess) / (square + excess), 0.5)
    assert best_share(estimates, square + excess) == pytest.approx(expected, rel=1e-5)
    assert best_share(estimates, square - 2 * product) == 0.0
    assert best_share(estimates, square / 2) == best_share(estimates, square)


def test_estimates_of_images_are_those_of_both_estimators(
    retriever: Retriever, noise: NoiseModel
) -> None:
    regression = RegressionFit.of(retriever, noise, seed=0).solved(1e-4)
    images = retriever.storage.keys[:70]
    blending = Blending.of(retriever.config)
    candidates = retriever.search(tf.constant(images), num_to_search(retriever, blending))
    made = depth_and_spread(retriever, tf.constant(images), candidates, blending)
    found = Estimates.of(retriever, regression, blending, images)
    for name, expected in (
        ("retrieved", made.depth),
        ("spread", made.spread),
        ("similarity", candidates.similarity[:, 0]),
        ("regressed", regression(tf.constant(images))),
    ):
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-4, atol=1e-3)
    weight = np.square(made.spread) / (np.square(made.spread) + 1)
    moved = weight * (regression(tf.constant(images)) - made.depth)
    square = float(np.mean(np.square(moved)))
    assert float(np.mean(np.square(found.difference()))) == pytest.approx(square, rel=1e-4)


def test_on_disk(retriever: Retriever, noise: NoiseModel, fab: np.ndarray, tmp_path: Path) -> None:
    assert Average.load(tmp_path, 140) is None
    chosen, _ = choose_average(retriever, noise, np.arange(20), fab, seed=0)
    chosen.save(tmp_path)
    loaded = Average.load(tmp_path, 140)
    assert loaded is not None
    assert (loaded.share, loaded.blending, loaded.rmse) == (
        chosen.share,
        chosen.blending,
        chosen.rmse,
    )
    images = tf.constant(retriever.storage.keys[:3])
    np.testing.assert_array_equal(loaded.regression(images), chosen.regression(images))
    (tmp_path / "estimators.json").write_text("{}")
    with pytest.raises(InputError, match=r"estimators\.json"):
        Average.load(tmp_path, 140)
    (tmp_path / "regression.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"regression\.npy"):
        Regression.load(tmp_path, 140)
