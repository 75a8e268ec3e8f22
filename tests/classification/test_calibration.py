"""Calibration against closed forms and slow, obvious versions."""

import numpy as np
import pytest

from semtf.classification.calibration import (
    abstention_threshold,
    cross_calibrated,
    expected_calibration_error,
    fit_temperature,
    nll,
    reliability,
    scaled_softmax,
)


def drawn(count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from exactly their softmax: calibrated by construction."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, 4))
    odds = np.exp(logits)
    edges = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    labels = (generator.random((count, 1)) > edges[:, :3]).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_undoes_a_scale(factor: float) -> None:
    logits, labels = drawn()
    temperature = fit_temperature(logits * factor, labels)
    assert temperature == pytest.approx(factor, rel=0.03)
    probabilities = scaled_softmax(logits * factor, temperature)
    assert expected_calibration_error(probabilities, labels) < 0.01


def test_temperature_is_the_best_on_a_grid() -> None:
    logits, labels = drawn(200)
    grid = np.exp(np.linspace(-2, 2, 4001))
    prior = np.log(grid) ** 2 / 2
    losses = [200 * nll(logits, labels, t) + p for t, p in zip(grid, prior, strict=True)]
    assert fit_temperature(logits, labels) == pytest.approx(grid[np.argmin(losses)], rel=1e-3)


def test_temperature_stays_finite_where_nothing_is_wrong() -> None:
    logits, _ = drawn(100)
    assert 0.05 < fit_temperature(logits, logits.argmax(axis=1)) < 1
    assert fit_temperature(np.zeros((0, 4)), np.zeros(0, int)) == 1
    assert fit_temperature(np.zeros((5, 1)), np.zeros(5, int)) == 1


def test_nll_of_a_known_row() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1]]))
    assert nll(logits, np.array([1])) == pytest.approx(-np.log(0.2))


def test_reliability_of_hand_made_bins() -> None:
    top = np.array([0.55, 0.6, 0.95, 1.0])
    probabilities = np.stack([top, 1 - top], axis=1)
    labels = np.array([0, 1, 0, 0])
    diagram = reliability(probabilities, labels, bins=10)
    np.testing.assert_array_equal(diagram.count, [0, 0, 0, 0, 0, 2, 0, 0, 0, 2])
    np.testing.assert_allclose(diagram.confidence[[5, 9]], [0.575, 0.975])
    np.testing.assert_allclose(diagram.accuracy[[5, 9]], [0.5, 1.0])
    assert np.isnan(diagram.confidence[0])
    error = expected_calibration_error(probabilities, labels, bins=10)
    assert error == pytest.approx((2 * 0.075 + 2 * 0.025) / 4)


def test_calibration_error_equals_a_loop() -> None:
    logits, labels = drawn(500)
    probabilities = scaled_softmax(logits, 0.5)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low in range(15):
        inside = (top > low / 15) & (top <= (low + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(top[inside].mean() - right[inside].mean())
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [1e-3, 0.02, 0.1])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_threshold_keeps_the_most_it_may(wrong: float, temperature: float) -> None:
    logits, labels = drawn(2000)
    probabilities = scaled_softmax(logits * 3, temperature)
    threshold = abstention_threshold(probabilities, labels, wrong)
    top, error = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels

    def share(t: float) -> float:
        kept = top >= t
        return max(error[kept].mean(), (1 - top[kept].astype(float)).mean()) if kept.any() else 0

    assert share(threshold) <= wrong
    if temperature == 0.3:
        assert threshold > 1, "far too sure of itself: even its surest images are too often wrong"
    lower = np.unique(top[top < threshold])
    assert len(lower) > 0
    assert all(share(t) > wrong for t in lower)


def test_threshold_at_its_ends() -> None:
    probabilities = np.array([[0.9999, 0.0001], [0.9995, 0.0005]])
    assert abstention_threshold(probabilities, np.array([0, 0])) == 0
    assert abstention_threshold(probabilities, np.array([1, 1])) > 1
    assert abstention_threshold(np.zeros((0, 2)), np.zeros(0, int)) == 0
    assert abstention_threshold(probabilities, np.array([0, 1])) == 0.9999
    tied = np.array([[0.99, 0.01], [0.99, 0.01], [0.9999, 0.0001]])
    assert abstention_threshold(tied, np.array([0, 1, 0])) == 0.9999


def test_unsure_images_are_left_out_although_none_is_wrong() -> None:
    probabilities = np.array([[0.9999, 0.0001], [0.6, 0.4]])
    assert abstention_threshold(probabilities, np.array([0, 0])) == 0.9999


def test_a_calibration_is_judged_on_sites_it_was_not_fitted_to() -> None:
    """One of ten sites is sure and wrong; its own images cannot help to see that."""
    rng = np.random.default_rng(0)
    sites = np.repeat([f"s{i}" for i in range(10)], 20)
    labels = rng.integers(0, 2, 200)
    shown = np.where(sites == "s3", 1 - labels, labels)
    logits = np.where(np.arange(2) == shown[:, None], 4.0, 0.0)
    probabilities, kept = cross_calibrated(logits, labels, sites)
    for k in range(5):
        out = np.isin(sites, [f"s{k}", f"s{k + 5}"])
        temperature = fit_temperature(logits[~out], labels[~out])
        expected = scaled_softmax(logits[out], temperature)
        np.testing.assert_array_equal(probabilities[out], expected)
        threshold = abstention_threshold(
            scaled_softmax(logits[~out], temperature), labels[~out], 1e-3
        )
        np.testing.assert_array_equal(kept[out], expected.max(axis=1) >= threshold)
    # Folds that were fitted without the wrong site are sure, the others are not.
    assert kept[sites == "s3"].all()
    assert not kept[sites == "s1"].any()


def test_one_site_is_calibrated_on_itself() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    labels, sites = np.array([0, 1]), np.array(["a", "a"])
    probabilities, kept = cross_calibrated(logits, labels, sites)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    assert len(kept) == 2
    none, _ = cross_calibrated(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, np.str_))
    assert none.shape == (0, 2)
