"""Data sets of arrays: what they hold, and what is refused with the way out."""

from typing import Any

import numpy as np
import pytest

from semtf.data.dataset import Dataset
from semtf.errors import InputError

SEM = np.full((3, 2, 72, 48), 7, np.uint8)
DEPTH = np.full((3, 72, 48), 140, np.uint8)
FAB = np.full((4, 72, 48), 9, np.uint8)


def test_arrays_become_the_sets_of_their_cases() -> None:
    dataset = Dataset.from_arrays(
        {2: SEM, 1: SEM[:, 0]},
        {2: DEPTH, 1: DEPTH},
        {2: FAB[..., None], 1: FAB},
        sites={1: ["a", "a", "b", "b"]},
        average_depth={1: {"a": 108.5}},
        test=FAB[:2],
    )
    assert dataset.cases == (1, 2)
    assert dataset.shape == (72, 48)
    assert dataset.simulator(1).sem.shape == (3, 2, 72, 48)
    assert dataset.simulator(1).bases.tolist() == dataset.simulator(2).bases.tolist()
    assert dataset.fab(1).sites.tolist() == ["a", "a", "b", "b"]
    assert len(set(dataset.fab(2).sites.tolist())) == 4
    assert dataset.site_depths(1)[:2].tolist() == [108.5, 108.5]
    assert len(dataset.test()) == 2
    assert repr(dataset) == "Dataset('arrays', cases 1, 2: 6 pairs, 8 fab images)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sem": {1: SEM / 255}}, r"sem\[1\]: float64"),
        ({"sem": {1: SEM[:2]}}, r"sem\[1\].*depth maps"),
        ({"depth": {1: DEPTH[:, :, :40]}}, r"sem\[1\]"),
        ({"depth": {2: DEPTH}}, "same cases"),
        ({"fab": {1: FAB[:, :64]}}, r"fab\[1\]: 64 x 48"),
        ({"fab": {1: FAB[:0]}}, "no images"),
        ({"sites": {1: ["a"]}}, r"sites\[1\]: 1 names for 4"),
        ({"bases": {1: ["a", "a", "b"]}}, "named twice"),
        ({"sem": {7: SEM}, "depth": {7: DEPTH}, "fab": {7: FAB}}, "case 7"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"sem": {1: SEM}, "depth": {1: DEPTH}, "fab": {1: FAB}} | change
    with pytest.raises(InputError, match=message):
        Dataset.from_arrays(**arguments)
