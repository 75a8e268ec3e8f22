"""The parts of the analysis against closed forms and known noise."""

import numpy as np
import pytest

from semtf.analysis.bootstrap import Groups, interval
from semtf.analysis.depth_law import fit_depth_law
from semtf.analysis.noise import find_maxima, smooth_noise
from semtf.analysis.sample import image_percentiles


def test_groups_are_drawn_whole() -> None:
    groups = Groups(["a", "b", "a", "c", "c", "c"])
    drawn = groups.draw(np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=6)
    assert groups.count == 3
    assert counts[0] == counts[2]
    assert counts[3] == counts[4] == counts[5]


def test_intervals_are_wider_for_few_units_and_unknown_for_one() -> None:
    values = np.random.default_rng(0).normal(0, 1, 20_000)
    low, high = interval(values, 10_000)
    assert [low, high] == pytest.approx([-1.96, 1.96], abs=0.06)
    assert interval(values, 5)[1] == pytest.approx(2.776 * np.sqrt(5 / 4), abs=0.2)
    assert np.isnan(interval(values, 1)[0])


def test_the_depth_law_is_fitted_and_its_exception_named() -> None:
    shape = np.zeros((5, 16, 16))
    shape[:, 4:12, 4:12] = np.random.default_rng(0).uniform(0.6, 1, (5, 8, 8))
    names = np.array([f"hole_{i}" for i in range(5)])
    depth = {
        k: np.rint(plate - (plate - 30) * shape).astype(np.uint8)
        for k, plate in {1: 140, 2: 170}.items()
    }
    order = np.array([3, 1, 0, 4, 2])
    laws = fit_depth_law({1: depth[1], 2: depth[2][order]}, {1: names, 2: names[order]})
    assert [(law.plate, round(law.floor)) for law in laws.values()] == [(140, 30), (170, 30)]
    assert laws[1].maps == 5
    assert laws[2].residual is not None
    assert laws[2].residual < 0.3
    assert laws[2].exceptions == ()
    depth[2][3, 4:12, 4:12] = 20
    assert fit_depth_law(depth, {1: names, 2: names})[2].exceptions == ("hole_3",)


def test_one_case_has_a_floor_but_no_residual() -> None:
    depth = np.full((2, 16, 16), 150, np.uint8)
    depth[:, 4:12, 4:12] = 31
    (law,) = fit_depth_law({2: depth}, {2: np.array(["a", "b"])}).values()
    assert (law.plate, law.floor, law.residual, law.maps) == (150, 31, None, 0)


@pytest.mark.parametrize("sigma", [3.0, 9.0])
def test_noise_of_smooth_regions_is_the_noise_that_was_added(sigma: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.full((20, 72, 48), 160.0)
    clean[:, 20:50, 12:36] = 60
    noisy = np.clip(np.rint(clean + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)
    found, by_level = smooth_noise(noisy)
    assert found == pytest.approx(sigma, rel=0.05)
    assert by_level[56] == pytest.approx(sigma, rel=0.1)


def test_brightest_pixels_are_found_by_zone() -> None:
    images = np.full((3, 72, 48), 150, np.uint8)
    images[:, 20:50, 12:36] = 40
    images[0, 3, 3] = images[1, 18, 20] = images[2, 30, 20] = 212
    found = find_maxima(images)
    assert (found.most_common, found.share) == (212, 1)
    assert [found.plate, found.rim, found.hole] == pytest.approx([1 / 3] * 3)


def test_percentiles_are_those_of_each_image() -> None:
    image = np.arange(72 * 48, dtype=np.float64).reshape(1, 72, 48)
    assert image_percentiles(image)[0, [0, 4, 7]].tolist() == [0, 1727.5, 3455]
