"""Settings: JSON and back, changes from the command line, and what is refused."""

import typing

import pytest

from semtf.config import AdaptationConfig, ClassificationConfig, RetrievalConfig, RunConfig
from semtf.errors import InputError
from semtf.presets import PRESETS, as_config, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_json_round_trip(name: str) -> None:
    assert RunConfig.from_json(preset(name).to_json()) == preset(name)
    assert preset(name).preset == name


def test_settings_replace_single_fields() -> None:
    changed = preset("quick").with_settings(
        {"adaptation.width": "32", "adaptation.learning_rate": "1", "adaptation.halve_at": "[5, 9]"}
    )
    assert changed.adaptation.width == 32
    assert changed.adaptation.learning_rate == 1.0
    assert changed.adaptation.halve_at == (5, 9)
    assert changed.classification == preset("quick").classification


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("adaptation.widht", "32", "no such field"),
        ("width", "32", "no such field"),
        ("adaptation.width", "wide", "expected int"),
        ("adaptation.width", "true", "expected int"),
        ("adaptation.norm", "layer", "none of batch"),
        ("retrieval.weights", "magic", "none of nearest, uniform"),
        ("retrieval.index", "fast", "none of auto, scann, exact"),
        ("adaptation.halve_at", "5", "expected a list"),
        ("adaptation", "5", "expected an object"),
    ],
)
def test_wrong_settings_are_named(field: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        preset("quick").with_settings({field: value})
    assert field.split(".")[-1] in str(error.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adaptation.width=-3", "adaptation.width=-3: must be at least 1"),
        ("adaptation.batch=0", "adaptation.batch=0: must be at least 1"),
        ("adaptation.learning_rate=0", "adaptation.learning_rate=0: must be above 0"),
        ("adaptation.first_epochs=-1", "adaptation.first_epochs=-1: must be at least 1"),
        ("adaptation.steps_per_epoch=0", "adaptation.steps_per_epoch=0: must be at least 1"),
        ("adaptation.halve_at=[5, -9]", "adaptation.halve_at=-9: must be at least 0"),
        ("adaptation.ema=1", "adaptation.ema=1: must be at least 0 and below 1"),
        ("adaptation.lambda_gp=NaN", "adaptation.lambda_gp=nan: must be at least 0"),
        ("classification.validation=1.5", "classification.validation=1.5: must be at least 0"),
        ("classification.folds=1", "classification.folds=1: must be at least 2"),
        ("retrieval.recall=0", "retrieval.recall=0: must be above 0 and at most 1"),
        ("retrieval.shift=9", "retrieval.shift=9: must be at least 0 and at most 8"),
        ("seed=-1", "seed=-1: must be at least 0"),
    ],
)
def test_numbers_out_of_bounds_are_named_as_they_were_typed(setting: str, message: str) -> None:
    field, _, value = setting.partition("=")
    with pytest.raises(InputError) as error:
        preset("quick").with_settings({field: value})
    assert str(error.value).startswith(message)


def test_auto_needs_a_candidate() -> None:
    changes = {"adaptation.adapter": "auto", "adaptation.candidates": "[]"}
    with pytest.raises(InputError, match=r"candidates=\[\]"):
        preset("quick").with_settings(changes)


def test_groups_divide_the_width() -> None:
    with pytest.raises(InputError, match=r"adaptation\.width=6: .* multiple of 4"):
        preset("quick").with_settings({"adaptation.width": "6", "adaptation.norm": "group"})


def _numbers(hint: object) -> list[bool]:
    """Whether each number of a type has bounds."""
    if typing.get_origin(hint) is typing.Annotated:
        return [True]
    if hint in (int, float):
        return [False]
    if typing.get_origin(hint) is typing.Literal:
        return []
    return [found for option in typing.get_args(hint) for found in _numbers(option)]


@pytest.mark.parametrize(
    "section", [AdaptationConfig, ClassificationConfig, RetrievalConfig, RunConfig]
)
def test_every_number_has_bounds(section: type) -> None:
    hints = typing.get_type_hints(section, include_extras=True)
    assert hints
    assert [name for name, hint in hints.items() if not all(_numbers(hint))] == []


def test_unknown_preset_and_broken_json() -> None:
    with pytest.raises(InputError, match="quick, challenge, best"):
        preset("fast")
    with pytest.raises(InputError, match="not JSON"):
        RunConfig.from_json("{")
    with pytest.raises(InputError, match="no such field: colour"):
        RunConfig.from_json('{"colour": 1}')
    with pytest.raises(InputError, match="nested too deeply"):
        RunConfig.from_json("[" * 200_000)
    with pytest.raises(InputError, match=r"config.cases: lacks plate, fab"):
        RunConfig.from_json('{"cases": [{"case": 1, "simulator": "Case_1"}]}')


@pytest.mark.parametrize("size", [(72, 44), (8, 48), (0, 0)])
def test_sizes_that_the_networks_cannot_take(size: tuple[int, int]) -> None:
    changes = {"image.height": str(size[0]), "image.width": str(size[1])}
    with pytest.raises(InputError, match="multiples of 8"):
        preset("quick").with_settings(changes)


def test_settings_of_any_type_and_by_section() -> None:
    typed = preset("quick").with_settings(
        {"adaptation.width": 32, "seed": 5, "adaptation.halve_at": (1, 2), "adaptation.xla": True}
    )
    text = preset("quick").with_settings(
        {"adaptation.width": "32", "seed": "5", "adaptation.halve_at": "[1, 2]"}
        | {"adaptation": {"xla": "true"}}
    )
    assert typed == text
    with pytest.raises(InputError, match=r"adaptation\.width"):
        preset("quick").with_settings({"adaptation": {"width": 3.5}})


def test_a_config_is_a_preset_by_name_or_its_changes() -> None:
    assert as_config("challenge") == preset("challenge")
    assert as_config(preset("best")) == preset("best")
    changed = as_config({"preset": "challenge", "retrieval": {"neighbours": 4}, "seed": 3})
    assert (changed.retrieval.neighbours, changed.seed) == (4, 3)
    assert changed.adaptation == preset("challenge").adaptation
    assert as_config({"seed": 3}) == preset("quick").with_settings({"seed": 3})
    for wrong, message in (("slow", "no such preset"), ({"sede": 1}, "sede"), (7, "int")):
        with pytest.raises(InputError, match=message):
            as_config(wrong)
