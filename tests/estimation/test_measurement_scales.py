"""Scales of measurements' uncertainties: found where they are too small, applied by both ways."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from semtf.estimation import measurement_scales
from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.measurement_scales import with_scales
from semtf.estimation.propagation import ErrorModel
from semtf.estimation.uncertain_measurements import uncertainties
from semtf.metrology.graph import NAMES
from semtf.metrology.hole import COLUMNS, measure, quantity
from tests.estimation.test_joint import hole

HELD_OUT, NEW = 60, 60


@pytest.fixture(scope="module")
def errors() -> ErrorPatterns:
    """Told: the radius is wrong by 0.1 px (σ)."""
    error = hole(10 + 0.1 * np.random.default_rng(0).normal(size=400)) - hole(10.0)
    return ErrorPatterns.of(error, np.broadcast_to(error.std(axis=0), error.shape))


def estimates(count: int, seed: int, wrong: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, their σ as told, and the truth, whose radius they miss by ``wrong`` px (σ)."""
    generator = np.random.default_rng(seed)
    truth = generator.uniform(9, 11, count)
    depth = hole(truth + wrong * generator.normal(size=count))
    told = (hole(10 + 0.1 * np.random.default_rng(9).normal(size=400)) - hole(10.0)).std(axis=0)
    return depth, np.broadcast_to(told, depth.shape).astype(np.float32), hole(truth)


def covered(errors: ErrorPatterns, name: str, wrong: float) -> float:
    depth, sigma, truth = estimates(NEW, 2, wrong)
    error = np.abs(measure(depth)[name] - measure(truth)[name])
    told = [uncertainties(depth[i], sigma[i], errors, seed=i)[f"u_{name}"] for i in range(NEW)]
    return float(np.mean(error <= 2 * np.array(told)))


def test_intervals_that_are_too_narrow_are_widened(errors: ErrorPatterns) -> None:
    scaled = with_scales(errors, *estimates(HELD_OUT, 1, 0.25))
    assert 2 < scaled.scales["equivalent_diameter"] < 3.5
    assert covered(errors, "equivalent_diameter_px", 0.25) < 0.75
    assert covered(scaled, "equivalent_diameter_px", 0.25) > 0.88


def test_intervals_that_are_wide_enough_stay(errors: ErrorPatterns) -> None:
    scaled = with_scales(errors, *estimates(HELD_OUT, 1, 0.05))
    assert "equivalent_diameter" not in scaled.scales
    assert all(scale > 1 for scale in scaled.scales.values())
    assert "orientation" not in scaled.scales


def test_the_quantile_by_hand() -> None:
    told = np.ones(39)
    # Of 39 and the hole to come, 38 must lie inside: the 38th smallest.
    assert measurement_scales._scale(np.arange(1.0, 40.0), told) == 38
    assert measurement_scales._scale(np.array([1.0, 3.0]), told[:2]) == 3
    assert measurement_scales._scale(np.array([np.nan, 3.0]), np.array([1.0, 0.0])) == 1


def test_a_scale_counts_in_draws_and_in_propagation(errors: ErrorPatterns) -> None:
    depth, sigma, _ = estimates(1, 3, 0.1)
    scaled = dataclasses.replace(errors, scales={"area": 3.0, "depth": 2.0})
    plain, wide = (uncertainties(depth[0], sigma[0], e, 2.0, 1.0) for e in (errors, scaled))
    assert wide["u_area_px2"] == pytest.approx(3 * plain["u_area_px2"])
    assert wide["u_area_nm2"] == pytest.approx(3 * plain["u_area_nm2"])
    assert wide["u_depth_nm"] == pytest.approx(2 * plain["u_depth_nm"])
    assert wide["u_cd_rows_px"] == plain["u_cd_rows_px"]
    values = [
        ErrorModel({1: e}, depth.shape[1:]).measurements(
            tf.constant(depth), tf.constant(sigma), tf.constant([1])
        )
        for e in (errors, scaled)
    ]
    factors = {name: float(values[1][f"u_{name}"][0] / values[0][f"u_{name}"][0]) for name in NAMES}
    assert factors["area_px2"] == pytest.approx(3)
    assert factors["cd_rows_px"] == pytest.approx(1)


def test_quantities_are_told_apart_by_unit_alone() -> None:
    assert len({quantity(column) for column in COLUMNS}) == len(COLUMNS)
    assert quantity("volume_px2_levels") == quantity("volume_nm3") == "volume"
    assert quantity("edge_roughness_sigma_nm") == "edge_roughness_sigma"
