"""Options that several commands share."""

import math
from pathlib import Path
from typing import Any

import click

from semtf.bounds import is_whole
from semtf.config import WEIGHTS
from semtf.errors import InputError

FOLDER = click.Path(path_type=Path)


class Numbers(click.ParamType):
    """Two numbers with a comma between them, rows and columns for example."""

    def __init__(self, kind: type[int] | type[float], form: str) -> None:
        self.kind = kind
        self.name = form

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Parse ``"a,b"``."""
        try:
            first, second = (self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not of the form {self.name}, two numbers", param, ctx)
        return first, second


class Vote(click.ParamType):
    """``neighbours:N``: how many images in a row vote on the one in their middle."""

    name = "neighbours:N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse ``"neighbours:9"``."""
        kind, _, count = str(value).partition(":")
        if kind != "neighbours" or not is_whole(count):
            self.fail(f"{value!r} is not of the form {self.name}, as in neighbours:9", param, ctx)
        if int(count) < 3 or int(count) % 2 == 0:
            self.fail(f"{value!r}: the number must be odd and at least 3", param, ctx)
        return int(count)


class FiniteRange(click.FloatRange):
    """A number within bounds, neither NaN nor infinite."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


size_option = click.option(
    "--size",
    type=Numbers(int, "H,W"),
    help="Rows and columns of the images; default those of the run or of the first image.",
)
range16_option = click.option(
    "--range16",
    type=Numbers(float, "LO,HI"),
    help="Values of 16-bit images that become grey levels 0 and 255.",
)
run_option = click.option("--run", required=True, type=FOLDER, help="The run folder.")
DATA = "Folder in the challenge's layout, or its zip file."
data_option = click.option("--data", required=True, type=FOLDER, help=DATA)
data_option_if_needed = click.option("--data", type=FOLDER, help=DATA)
cache_option = click.option(
    "--cache", type=FOLDER, help="Where packed images are kept; default ~/.cache/semtf."
)
skip_bad_option = click.option("--skip-bad", is_flag=True, help="Leave bad images out.")
weights_option = click.option(
    "--weights", type=click.Choice(list(WEIGHTS)), help="How neighbours are weighted."
)
recall_option = click.option(
    "--recall",
    type=FiniteRange(0, 1, min_open=True),
    help="Share of the best rows that the ScaNN index must find; default as trained.",
)
fab_option = click.option(
    "--fab",
    multiple=True,
    metavar="CASE=DIR",
    help="Plain folder of PNG or TIFF images to take as a case's fab images.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def fab_folders(assignments: tuple[str, ...]) -> dict[int, Path]:
    """The folders of `--fab`, by case."""
    by_case = {}
    for assignment in assignments:
        case, equals, folder = assignment.partition("=")
        if not equals or not is_whole(case):
            raise InputError(f"--fab {assignment}: write CASE=DIR, as in 1=images")
        by_case[int(case)] = Path(folder)
    return by_case
