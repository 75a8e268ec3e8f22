"""Telling two sets of images apart."""

import numpy as np
import pytest

from semtf.noise.separation import area_under_curve


def test_the_same_and_different_distributions() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 300, 5))
    assert area_under_curve(one, other) == pytest.approx(0.5, abs=0.06)
    assert area_under_curve(one + np.array([3, 0, 0, 0, 0]), other) > 0.95
