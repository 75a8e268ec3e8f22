"""Retrieval and regression side by side."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.estimation.averaging import SHARES, Average, average, choose_average
from semtf.estimation.regression import Regression, RegressionFit
from semtf.noise.model import NoiseModel
from semtf.retrieval.held_out import HeldOutQueries
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever


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


def test_the_share_of_least_error_is_chosen(retriever: Retriever, noise: NoiseModel) -> None:
    chosen, estimates = choose_average(retriever, noise, np.arange(100), seed=0)
    errors = [estimates.rmse(share) for share in (0.0, chosen.share, 1.0)]
    assert errors[1] == min(estimates.rmse(share) for share in SHARES)
    assert SHARES.max() == 0.5
    assert chosen.rmse == {
        "retrieval": pytest.approx(errors[0]),
        "average": pytest.approx(errors[1]),
        "regression": pytest.approx(errors[2]),
    }
    assert chosen.retrieval_alone().name == "retrieval"


def test_on_disk(retriever: Retriever, noise: NoiseModel, tmp_path: Path) -> None:
    assert Average.load(tmp_path, 140) is None
    chosen, _ = choose_average(retriever, noise, np.arange(20), seed=0)
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
