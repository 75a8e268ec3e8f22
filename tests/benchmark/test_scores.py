"""The columns of rows, on errors that are known."""

import numpy as np
import pandas as pd
import pytest

from semtf.benchmark.estimates import Estimates
from semtf.benchmark.scores import Scores, bootstrap, effect, gaps_closed
from semtf.benchmark.world import Truth

FLOOR, PLATE, SHAPE = 30, 140, (72, 48)


def holes(count: int = 4) -> np.ndarray:
    """Ovals of growing size with a straight wall of six pixels, uint8 ``[n, H, W]``."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    size = np.linspace(0.9, 1.1, count)[:, None, None]
    radius = np.hypot((rows - 35.5) / 1.5, columns - 23.5) / size
    depth = PLATE - (PLATE - FLOOR) * np.clip((16 - radius) / 6 + 0.5, 0, 1)
    return np.rint(depth).astype(np.uint8)


def truth(depth: np.ndarray) -> Truth:
    cases = np.ones(len(depth), np.int64)
    return Truth(depth, depth, cases, np.array([f"image {i}" for i in range(len(depth))]))


def test_a_wrong_level_is_no_error_of_the_shape() -> None:
    depth = holes()
    shallow = (PLATE - 0.9 * (PLATE - depth.astype(np.float32))).astype(np.float32)
    row = Scores(truth(depth))(Estimates(shallow), 0)
    assert row["shape"] == pytest.approx(0, abs=1e-4)
    assert row["level"] == pytest.approx(row["rmse"], rel=1e-6)
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((0.1 * (PLATE - depth)) ** 2)), rel=1e-4)
    assert row["depth_bias"] == pytest.approx(-0.1 * (PLATE - FLOOR), abs=0.6)
    assert abs(row["cd_rows_bias"]) < 0.05
    assert row["coverage"] is None


def test_level_and_shape_are_the_legs_of_the_error() -> None:
    depth = holes()
    noisy = depth + np.random.default_rng(0).normal(0, 3, depth.shape).astype(np.float32)
    row = Scores(truth(depth))(Estimates(noisy.astype(np.float32)), 0)
    assert np.hypot(row["level"], row["shape"]) == pytest.approx(row["rmse"], rel=1e-6)
    assert row["squares"] == pytest.approx(np.square(noisy - depth).mean((1, 2)), rel=1e-4)


def test_errors_are_told_apart_by_the_zone_of_the_truth() -> None:
    depth = holes()
    off = depth.astype(np.float32)
    off[depth == PLATE] -= 2
    off[depth == FLOOR] += 5
    row = Scores(truth(depth))(Estimates(off), 0)
    assert 1.8 < row["plate"] <= 2  # the zone begins a little below the plate
    assert 4.5 < row["floor"] <= 5
    assert row["wall"] == 0


def test_coverage_is_the_share_within_the_interval() -> None:
    depth = holes()
    off = depth.astype(np.float32)
    off[:, :18] += 4
    sigma = np.full(depth.shape, 1.0, np.float32)
    assert Scores(truth(depth))(Estimates(off, sigma), 0)["coverage"] == 0.75


def test_the_bootstrap_draws_sites_and_not_images() -> None:
    squares = np.repeat([1.0, 4.0, 9.0, 16.0, 25.0, 36.0], 20)
    alone = bootstrap(squares, np.arange(len(squares)).astype(str), 0)
    by_site = bootstrap(squares, np.repeat(list("abcdef"), 20), 0)
    rmse = np.sqrt(squares.mean())
    assert by_site[0] < alone[0] < rmse < alone[1] < by_site[1]


def test_an_effect_is_paired() -> None:
    squares = np.random.default_rng(0).uniform(1, 100, 50)
    first, second = {"squares": 0.81 * squares}, {"squares": squares}
    assert effect(first, second) == pytest.approx((0.1, 0.1, 0.1))
    gain, low, high = effect(first, {"squares": np.roll(squares, 1)})
    assert gain == pytest.approx(0.1)
    assert low < 0 < high


def test_the_gap_is_that_of_the_same_estimator() -> None:
    table = pd.DataFrame(
        [
            {"name": name, "seed": 0, "pairs": None, "rmse": rmse}
            for name, rmse in (
                ("none/nearest", 10.0), ("adapted/nearest", 5.0), ("target/nearest", 4.0),
                ("adapted/tuned", 3.0), ("mean-map", 20.0),
            )
        ]
    )  # fmt: skip
    assert gaps_closed(table).tolist() == pytest.approx(
        [0.0, 5 / 6, 1.0, np.nan, np.nan], nan_ok=True
    )
