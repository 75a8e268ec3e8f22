"""Bounds of numbers, written into their types: ``Annotated[int, Bounds(at_least=1)]``."""

import math
import typing
from typing import Annotated, Any, NamedTuple

from semtf.errors import InputError


class Bounds(NamedTuple):
    """The limits of a number; a limit that is None does not apply."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        limits = zip(("at least", "above", "at most", "below"), self, strict=True)
        return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)

    def contain(self, value: float) -> bool:
        """Whether a number lies within the bounds; NaN and infinity never do."""
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


Count = Annotated[int, Bounds(at_least=1)]
Whole = Annotated[int, Bounds(at_least=0)]
Positive = Annotated[float, Bounds(above=0)]
NotNegative = Annotated[float, Bounds(at_least=0)]
Share = Annotated[float, Bounds(at_least=0, at_most=1)]
PartialShare = Annotated[float, Bounds(at_least=0, below=1)]


def check(settings: Any, section: str) -> None:
    """Raise InputError for the first field of a dataclass that does not keep to its bounds.

    Args:
        settings: a dataclass whose numbers have bounds in their types.
        section: what stands before the field's name where a user writes it; may be empty.
    """
    for name, hint in typing.get_type_hints(type(settings), include_extras=True).items():
        _check(hint, getattr(settings, name), f"{section}.{name}".lstrip("."))


def _check(hint: Any, value: Any, name: str) -> None:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        for bounds in hint.__metadata__:
            if not bounds.contain(value):
                raise InputError(f"{name}={value:g}: must be {bounds}")
    elif origin is tuple:
        for item in value:
            _check(typing.get_args(hint)[0], item, name)
    elif value is not None:
        for option in typing.get_args(hint):
            if typing.get_origin(option) is Annotated:
                _check(option, value, name)


def is_whole(text: str, digits: int = 9) -> bool:
    """Whether a text is a whole number, 0 or more, of so many ASCII digits at most."""
    return text.isascii() and text.isdecimal() and len(text) <= digits
