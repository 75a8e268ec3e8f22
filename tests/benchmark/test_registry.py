"""Names of methods: patterns, groups, unknown ones, and what is said of them."""

import re

import pytest

from semtf.adapter_table import ADAPTERS
from semtf.benchmark.registry import DEFAULTS, chosen, listing, methods, recommended
from semtf.config import WEIGHTS
from semtf.errors import InputError


def names(text: str | list[str] | None) -> list[str]:
    return [method.name for method in chosen(text)]


def test_names_patterns_and_groups_choose_each_method_once() -> None:
    assert names("mean-map, none/nearest,none/near*") == [
        "mean-map", "none/nearest", "none/nearest-wrapped", "none/nearest-winner",
        "none/nearest-unmoved", "none/nearest-centre",
    ]  # fmt: skip
    assert names(None) == names("default") == list(DEFAULTS)
    assert names(["all"]) == recommended()
    assert set(recommended()) <= set(methods())


def test_the_default_trains_nothing_and_all_has_every_adapter_and_weight_function() -> None:
    assert not any(method.trains for method in chosen("default"))
    everything = recommended()
    for adapter in {*ADAPTERS, "auto"} - {"none"}:
        assert f"{adapter}/nearest" in everything
    for weights in set(WEIGHTS) - {"nearest"}:
        assert f"adapted/{weights}-32" in everything
    trained = {method.name for method in chosen("all") if method.trains}
    assert {"lsgan/nearest", "joint/tuned", "cold/tuned", "adapted/unet-noise-adabn"} <= trained


def test_titles_of_the_default_are_those_of_the_table_in_the_readme() -> None:
    titles = [method.title for method in chosen(None)]
    assert titles[:3] == [f"no adaptation, {e}" for e in ("nearest", "softmax of 8", "tuned")]
    assert titles[-1] == "adapted, as if the depths differed"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("adapted/nearst", "adapted/nearest"), ("mean_map", "mean-map"), ("al", "all")],
)
def test_an_unknown_name_is_an_error_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"--methods {wrong}: no such method")) as error:
        chosen(f"mean-map,{wrong}")
    assert near in str(error.value)


def test_the_listing_has_a_line_for_every_part_and_says_what_trains() -> None:
    lines = {line.split()[0]: line for line in listing().splitlines() if line.startswith("  ")}
    parts = {part for name in methods() for part in name.split("/")}
    assert set(lines) == parts
    assert "trains a network" in lines["cyclegan"]
    assert "trains a network" in lines["unet-clean"]
    assert "trains a network" not in lines["moment"]
