"""The hypothesis that depths differ: another case's maps where averages overlap, else scaled."""

import numpy as np
import pytest

from semtf.data.dataset import Dataset
from semtf.evaluation.depth_differs import values_of_the_fab
from semtf.retrieval.storage import Storage

NAMES = ["a", "b", "c"]
SHAPE = np.zeros((3, 72, 48))
SHAPE[:, 16:56, 10:38] = np.array([0.8, 0.9, 1.0])[:, None, None]
DEPTH = {
    case: np.rint(plate - (plate - 30) * SHAPE).astype(np.uint8)
    for case, plate in {1: 140, 2: 150}.items()
}


def dataset(averages: dict[int, float]) -> Dataset:
    images = {case: np.zeros((2, 72, 48), np.uint8) for case in DEPTH}
    return Dataset.from_arrays(
        DEPTH,
        DEPTH,
        images,
        bases=dict.fromkeys(DEPTH, NAMES),
        average_depth={
            case: {"x": value - 0.5, "y": value + 0.5} for case, value in averages.items()
        },
    )


def storage(case: int) -> Storage:
    order = [2, 0, 1]
    values = DEPTH[case][order]
    return Storage(values, values, np.array(NAMES)[order], case)


def test_another_case_is_taken_where_averages_overlap() -> None:
    mean = float(DEPTH[2].mean())
    values = values_of_the_fab(storage(1), dataset({1: mean + 0.7, 2: 150}))
    assert np.array_equal(values, DEPTH[2][[2, 0, 1]])


def test_elsewhere_maps_are_scaled_above_the_floor() -> None:
    mean = float(DEPTH[2].mean()) + 9
    values = values_of_the_fab(storage(2), dataset({2: mean}))
    assert values is not None
    assert values.mean() == pytest.approx(mean, abs=0.3)
    assert values.min() == pytest.approx(30, abs=1)
    assert values.max() > 150


def test_without_averages_there_is_no_such_hypothesis() -> None:
    assert values_of_the_fab(storage(1), dataset({2: 120})) is None
