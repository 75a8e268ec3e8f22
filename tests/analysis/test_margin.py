"""Margins that are known are found, and one offset is told from them where the data can."""

import numpy as np
import pytest

from semtf.analysis.margin import (
    Averages,
    compare_offset,
    fit_margin,
    fit_margins,
    with_margin,
)

PIXELS = 72 * 48
PLATES = {1: 140.0, 2: 150.0, 3: 160.0, 4: 170.0}
MARGINS = {1: 750, 2: 1100, 3: 1450, 4: 1800}


def averages(case: int, sites: int, rng: np.random.Generator) -> Averages:
    """Depth maps whose mean follows the depth law, and sites with the case's margin."""
    plate = PLATES[case]
    shape = rng.normal(0.3475, 0.012, 400)
    depth = plate - (plate - 30) * shape
    drawn = plate - (plate - 30) * rng.normal(0.3475, 0.012, sites)
    return Averages(plate, PIXELS, depth, with_margin(drawn, plate, MARGINS[case], PIXELS))


def test_a_margin_without_noise_is_found_exactly() -> None:
    depth = np.array([100.0, 103.0, 104.5, 99.0])
    sites = with_margin(depth, 140, 750, PIXELS)
    assert sites[0] == pytest.approx((100 * 3456 + 140 * 750) / 4206)
    assert fit_margin(Averages(140, PIXELS, depth, sites)) == pytest.approx(750)


def test_intervals_contain_the_truth_and_widen_with_fewer_sites() -> None:
    inside = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        fitted = fit_margins({case: averages(case, 14, rng) for case in PLATES})
        inside += [fitted[k].low <= MARGINS[k] <= fitted[k].high for k in PLATES]
        assert fitted[2].increment == pytest.approx(fitted[2].fit - fitted[1].fit)
        assert fitted[2].increment_low < fitted[2].increment < fitted[2].increment_high
        assert fitted[1].increment is None
        assert all(margin.after < margin.before for margin in fitted.values())
    assert sum(inside) >= 18
    rng = np.random.default_rng(0)
    many, few = (fit_margins({1: averages(1, sites, rng)})[1] for sites in (200, 8))
    assert few.high - few.low > 3 * (many.high - many.low)


def test_a_case_without_two_sites_has_no_margin() -> None:
    rng = np.random.default_rng(0)
    found = {1: averages(1, 14, rng), 2: averages(2, 1, rng)}
    assert set(fit_margins(found)) == {1}
    assert compare_offset(found) is None


def test_one_offset_is_told_from_margins_only_where_cases_differ() -> None:
    rng = np.random.default_rng(1)
    alike = {
        k: Averages(L, PIXELS, np.full(3, L - 40), L - 31.4 + rng.normal(0, 1.5, 14))
        for k, L in PLATES.items()
    }
    found = compare_offset(alike)
    assert found is not None
    assert found.low < 31.4 < found.high
    assert not found.distinguishable
    assert found.bic_difference > 0
    assert "cannot tell" in found.statement
    apart = {
        k: Averages(L, PIXELS, np.full(3, L - 40), L - 30 - k + rng.normal(0, 0.5, 14))
        for k, L in PLATES.items()
    }
    found = compare_offset(apart)
    assert found is not None
    assert found.distinguishable
    assert found.bic_difference < 0
    assert "does not explain" in found.statement


def test_the_likelihood_is_that_of_normal_residuals() -> None:
    sites = {1: np.array([108.0, 109.0]), 2: np.array([119.0, 118.0])}
    found = compare_offset(
        {k: Averages(PLATES[k], PIXELS, np.full(3, 100.0), s) for k, s in sites.items()}
    )
    assert found is not None
    assert found.by_case == {1: 31.5, 2: 31.5}
    sigma = 0.5
    expected = 4 * (-0.5 * np.log(2 * np.pi * sigma**2) - 0.5)
    assert found.log_likelihood_margins == pytest.approx(expected)
    assert found.log_likelihood_offset == pytest.approx(expected)
