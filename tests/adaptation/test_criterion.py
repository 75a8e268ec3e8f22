"""The label-free criterion on drawn holes whose differences are known in closed form."""

import numpy as np
import pytest

from semtf.adaptation.criterion import (
    criterion,
    holes,
    site_difference,
)
from semtf.adaptation.similarity import RIDGE, nearest_keys, reconstruction_residuals
from semtf.data.sampling import spread, whole_sites

ROW, COLUMN = np.mgrid[:40, :32]


def hole(row: float, column: float, half_width: float) -> np.ndarray:
    """A dark ellipse in a bright plate, 1.5 times as high as wide."""
    distance = ((COLUMN - column) / half_width) ** 2 + ((ROW - row) / (1.5 * half_width)) ** 2
    return np.where(distance < 1, 30.0, 160.0).astype(np.float32)


def drawn(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    places = rng.uniform((17, 13, 6), (22, 18, 10), (count, 3))
    return np.stack([hole(*place) for place in places])


def test_images_of_the_fab_itself_are_perfect() -> None:
    images = drawn(30, 0)
    found = criterion(images, images, images)
    assert (found.profile, found.pixels, found.centroid, found.width) == (0, 0, 0, 0)
    assert found.mismatch == pytest.approx(0, abs=1e-6)
    assert found.depth is None


def test_grey_levels_are_counted_as_they_are() -> None:
    images = drawn(30, 0)
    found = criterion(images, images + 7, images)
    assert found.profile == pytest.approx(7, rel=1e-5)
    assert found.pixels == pytest.approx(7, rel=1e-5)
    assert found.mismatch == pytest.approx(0, abs=1e-5)


def test_noise_costs_correlation_and_score() -> None:
    images, fab = drawn(60, 0), drawn(60, 1)
    rng = np.random.default_rng(2)
    clean = criterion(images, images, fab)
    noisy = criterion(images, images + rng.normal(0, 25, images.shape), fab)
    assert noisy.mismatch > clean.mismatch + 0.01
    assert noisy.residual > clean.residual
    assert noisy.score > clean.score


def test_hole_is_where_it_was_drawn() -> None:
    row, column, width = holes(hole(19, 14, 8)[None])[0]
    assert (row, column) == (19, 14)
    assert width == pytest.approx(16, rel=0.03)


def test_a_common_magnification_is_no_drift_but_a_random_shift_is() -> None:
    rng = np.random.default_rng(0)
    centre = np.array([19.5, 15.5])
    places = rng.uniform(centre - 3, centre + 3, (200, 2))
    before = np.stack([hole(*place, 7) for place in places])
    larger = np.stack([hole(*(centre + 1.1 * (place - centre)), 7.7) for place in places])
    moved = np.stack([np.roll(image, rng.choice([-1, 1]), axis=1) for image in before])
    assert criterion(before, larger, before).centroid < 0.2
    assert criterion(before, moved, before).centroid == pytest.approx(1, rel=0.03)


def test_nearest_keys_are_those_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    keys, images = (rng.normal(size=(count, 12, 8)).astype(np.float32) for count in (9, 5))
    images[0] = np.roll(keys[4], (2, -1), axis=(0, 1))
    aligned, similarity, order = nearest_keys(images, keys)
    for i, image in enumerate(images):
        padded = np.pad(image, 2, mode="edge")
        moves = [padded[a : a + 12, b : b + 8] for a in range(5) for b in range(5)]
        table = [[np.corrcoef(m.ravel(), key.ravel())[0, 1] for key in keys] for m in moves]
        assert similarity[i] == pytest.approx(np.max(table), abs=1e-5)
        assert list(order[i]) == list(np.argsort(-np.max(table, axis=0)))
        best = moves[np.argmax(np.max(table, axis=1))].ravel()
        unit = (best - best.mean()) / np.linalg.norm(best - best.mean())
        np.testing.assert_allclose(aligned[i], unit, atol=1e-5)
    assert order[0, 0] == 4


def test_residuals_are_those_of_a_slow_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    keys, images = (rng.normal(size=(count, 12, 8)).astype(np.float32) for count in (9, 5))
    aligned, _, order = nearest_keys(images, keys)
    order = order[:, :4]
    found = reconstruction_residuals(aligned, keys, order)
    flat = keys.reshape(9, -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    for i, image in enumerate(aligned):
        matrix = np.vstack([flat[order[i]].T, np.sqrt(RIDGE) * np.eye(4)])
        weights = np.linalg.lstsq(matrix, np.append(image, np.zeros(4)), rcond=None)[0]
        left = image - weights @ flat[order[i]]
        assert found[i] == pytest.approx(left @ left, abs=1e-5)


def test_whole_sites_are_taken() -> None:
    sites = np.repeat([f"s{i:02d}" for i in range(40)], 25)
    chosen = whole_sites(sites, 1000, 400)
    names, counts = np.unique(sites[chosen], return_counts=True)
    assert len(names) == 16
    assert set(counts) == {25}
    few = whole_sites(sites, 1000, 160)
    names, counts = np.unique(sites[few], return_counts=True)
    assert (len(names), set(counts)) == (16, {10})
    assert list(whole_sites(sites[:30], 30, 400)) == list(range(30))


def test_the_plate_around_a_site_is_fitted() -> None:
    means = np.array([100.0, 104.0, 96.0, 110.0])
    average = means + 0.3 * (140 - means)
    assert site_difference(means, average, 140) == pytest.approx((0, 0), abs=1e-9)
    wrong = average + np.array([0.5, -0.5, 0.5, -0.5])
    difference, left = site_difference(means, wrong, 140)
    assert 0.3 < difference < 0.5
    # Sites of one image have no chance of their own, but four of them are few.
    assert left == pytest.approx(difference * (1 - 2 / np.sqrt(8)))
    assert site_difference(means, np.full(4, np.nan), 140) is None


def test_agreement_with_sites_needs_the_right_depth() -> None:
    images, rng = drawn(60, 0), np.random.default_rng(1)
    depth = np.where(images < 100, 30, 140)
    average = depth.mean(axis=(1, 2)) * 0.8 + 140 * 0.2
    right = criterion(images, images, images, depth=depth, average_depth=average, plate=140)
    mixed = rng.permutation(depth)
    wrong = criterion(images, images, images, depth=mixed, average_depth=average, plate=140)
    assert right.depth == pytest.approx(0, abs=1e-4)
    assert wrong.depth > 2


def test_sites_cost_only_what_chance_does_not_explain() -> None:
    """Images of a site scatter by 3 levels, so the means of 25 of them do by 0.6."""
    rng = np.random.default_rng(1)
    sites = np.repeat(np.linspace(90, 120, 30), 25)
    scattered = sites + rng.normal(0, 3, len(sites))
    difference, left = site_difference(scattered, sites * 0.8 + 28, 140)
    assert 0.3 < difference < 0.8
    assert left == 0
    wrong = np.repeat(rng.choice([-2.0, 2.0], 30), 25)
    difference, left = site_difference(scattered + wrong, sites * 0.8 + 28, 140)
    assert left > 0.8
    assert left < difference


def test_rows_are_spread_evenly() -> None:
    assert list(spread(3, 5)) == [0, 1, 2]
    assert list(spread(11, 3)) == [0, 5, 10]
