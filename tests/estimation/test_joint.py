"""Joint errors: patterns found again, draws of them, and what they say of measurements."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from semtf.errors import InputError
from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.result import DepthResult
from semtf.estimation.uncertain_measurements import uncertainties
from semtf.metrology.hole import measure

ROWS, COLUMNS = np.mgrid[:40, :32]


def hole(radius: float | np.ndarray) -> np.ndarray:
    """A round hole, or several, with a wall of 4 pixels."""
    distance = np.hypot(ROWS - 20, COLUMNS - 16)
    radius = np.asarray(radius)[..., None, None]
    return np.float32(140 - 100 * np.clip(0.5 + (radius - distance) / 4, 0, 1))


@pytest.fixture(scope="module")
def patterns() -> ErrorPatterns:
    """Of holes whose radius is wrong by 0.3 px (σ), told with the right σ of each pixel."""
    radius = 10 + 0.3 * np.random.default_rng(0).normal(size=400)
    error = hole(radius) - hole(10.0)
    return ErrorPatterns.of(error, np.broadcast_to(error.std(axis=0), error.shape))


def estimate() -> tuple[np.ndarray, np.ndarray]:
    error = hole(10 + 0.3 * np.random.default_rng(1).normal(size=2000)) - hole(10.0)
    return hole(10.0), error.std(axis=0).astype(np.float32)


def test_draws_have_the_sigma_of_the_estimate_and_err_together(patterns: ErrorPatterns) -> None:
    depth, sigma = estimate()
    drawn = patterns.draws(depth, sigma, 3000, np.random.default_rng(2))
    assert np.abs(drawn.mean(axis=0) - depth).max() < 0.15 * sigma.max()
    np.testing.assert_allclose(drawn.std(axis=0), sigma, atol=0.15 * sigma.max())
    left, right = drawn[:, 20, 6], drawn[:, 20, 26]
    assert np.corrcoef(left, right)[0, 1] > 0.8
    assert (drawn[:, 0, 0] == depth[0, 0]).all()


def test_a_diameter_is_as_uncertain_as_it_was_wrong(patterns: ErrorPatterns) -> None:
    depth, sigma = estimate()
    found = uncertainties(depth, sigma, patterns, 2.0, 1.0, draws=150)
    assert found["u_equivalent_diameter_px"] == pytest.approx(0.6, rel=0.2)
    assert found["u_equivalent_diameter_nm"] == pytest.approx(
        2 * found["u_equivalent_diameter_px"], rel=1e-6
    )
    assert found["u_area_px2"] == pytest.approx(0.6 * np.pi * 10, rel=0.2)
    alone = ErrorPatterns(np.zeros_like(patterns.patterns), np.ones_like(patterns.rest))
    independent = uncertainties(depth, sigma, alone, draws=60)
    assert independent["u_equivalent_diameter_px"] < 0.3 * found["u_equivalent_diameter_px"]


def test_the_volume_is_what_lies_below_the_plate() -> None:
    row = measure(hole(10.0)).iloc[0]
    assert row["volume_px2_levels"] == pytest.approx(100 * np.pi * 10**2, rel=0.05)


def test_on_disk(patterns: ErrorPatterns, tmp_path: Path) -> None:
    assert ErrorPatterns.load(tmp_path) is None
    dataclasses.replace(patterns, scales={"area": 1.5}).save(tmp_path)
    loaded = ErrorPatterns.load(tmp_path)
    assert loaded is not None
    assert loaded.scales == {"area": 1.5}
    np.testing.assert_array_equal(loaded.patterns, patterns.patterns)
    np.testing.assert_array_equal(loaded.rest, patterns.rest)
    (tmp_path / "measurement_scales.json").write_text("[1]")
    with pytest.raises(InputError, match=r"measurement_scales\.json"):
        ErrorPatterns.load(tmp_path)
    (tmp_path / "measurement_scales.json").unlink()  # as in runs of older versions
    older = ErrorPatterns.load(tmp_path)
    assert older is not None
    assert not older.scales
    (tmp_path / "error_patterns.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"error_patterns\.npy"):
        ErrorPatterns.load(tmp_path)


def test_draws_of_a_result(patterns: ErrorPatterns) -> None:
    depth, sigma = estimate()
    result = DepthResult(
        depth=depth[None],
        sigma=sigma[None],
        case=np.array([2], np.int32),
        case_probability=np.ones(1, np.float32),
        similarity=np.ones(1, np.float32),
        neighbours=[[]],
        flags=[[]],
        errors={2: patterns},
    )
    assert result.draws(5).shape == (5, 1, 40, 32)
    np.testing.assert_array_equal(result.draws(5, seed=1), result.draws(5, seed=1))
    without = DepthResult(**{**vars(result), "errors": {}})
    with pytest.raises(InputError, match="case 2"):
        without.draws(5)
