"""Minutes of a training, shared out on a made clock."""

import dataclasses

import pytest

from semtf.budget import STORAGE_SHARE, Budget, training_budget
from semtf.errors import InputError
from semtf.presets import preset


def test_what_one_stage_leaves_the_others_have() -> None:
    now = 0.0
    budget = Budget(10 / (1 - STORAGE_SHARE), {"a": 2.0, "b": 1.0, "c": 1.0}, lambda: now)
    assert budget.told() == "a 5.0, b 2.5, c 2.5"
    assert budget.seconds("a") == pytest.approx(300)
    now = 60.0
    assert budget.seconds("b") == pytest.approx(270)
    now = 600.0
    assert budget.seconds("c") == pytest.approx(0, abs=1e-9)


def test_a_stage_that_is_there_already_leaves_its_share() -> None:
    budget = Budget(10 / (1 - STORAGE_SHARE), {"a": 2.0, "b": 1.0, "c": 1.0}, lambda: 0.0)
    assert budget.seconds("c") == pytest.approx(600)


def test_the_first_case_has_the_largest_share() -> None:
    config = preset("quick")
    config = dataclasses.replace(
        config,
        adaptation=dataclasses.replace(config.adaptation, first_epochs=30, other_epochs=10),
    )
    budget = training_budget(8 / (1 - STORAGE_SHARE), config, (1, 3, 4))
    assert budget.told() == "case 1 3.0, case 3 1.0, case 4 1.0, classifier 3.0"
    for minutes in (-1.0, float("nan")):
        with pytest.raises(InputError, match="--budget"):
            training_budget(minutes, config, (1,))
