"""Settings: JSON and back, changes from the command line, and what is refused."""

import pytest

from semtf.config import PRESETS, RunConfig, plate_level, preset
from semtf.errors import InputError


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


def test_unknown_preset_and_broken_json() -> None:
    with pytest.raises(InputError, match="quick, challenge, best"):
        preset("fast")
    with pytest.raises(InputError, match="not JSON"):
        RunConfig.from_json("{")
    with pytest.raises(InputError, match="no such field: colour"):
        RunConfig.from_json('{"colour": 1}')


def test_plate_levels() -> None:
    assert [plate_level(case) for case in (1, 2, 3, 4)] == [140, 150, 160, 170]


@pytest.mark.parametrize("size", [(72, 44), (8, 48), (0, 0)])
def test_sizes_that_the_networks_cannot_take(size: tuple[int, int]) -> None:
    changes = {"image.height": str(size[0]), "image.width": str(size[1])}
    with pytest.raises(InputError, match="multiples of 8"):
        preset("quick").with_settings(changes)
