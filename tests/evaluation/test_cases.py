"""Accuracy, confusion and cost on numbers worked out by hand."""

import numpy as np
import pytest

from semtf.evaluation.cases import score_cases


def test_by_hand() -> None:
    true = np.array([1, 1, 2, 2])
    predicted = np.array([1, 2, 2, 2])
    truth = np.zeros((4, 2, 2))
    depth = np.stack([np.full((2, 2), value) for value in (1.0, 5.0, 1.0, 1.0)])
    sites = np.array(["a", "a", "b", "c"])
    found = score_cases(predicted, true, depth, truth, sites)
    assert found.accuracy == 0.75
    assert found.site_accuracy == pytest.approx(2 / 3)
    assert found.confusion == {1: {1: 1, 2: 1}, 2: {1: 0, 2: 2}}
    assert found.rmse_of_right == 1.0
    assert found.cost == pytest.approx(np.sqrt((3 + 25) / 4) - 1)
    assert score_cases(predicted, true, depth, truth).site_accuracy is None
