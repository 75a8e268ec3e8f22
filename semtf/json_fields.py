"""Dataclasses from JSON: a value of the wrong type or a field that is none is named."""

import dataclasses
import json
import typing
from typing import Any, Literal, TypeVar

from semtf.errors import InputError

T = TypeVar("T")


def parse_json(text: str | bytes) -> Any:
    """What `json.loads` gives; also text nested too deeply is a `json.JSONDecodeError`."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("lists are nested too deeply", "", 0) from None


def build(cls: type[T], values: Any, name: str) -> T:
    """A dataclass from the JSON form of its fields; what is left out keeps its default.

    Args:
        cls: the dataclass; its fields may be dataclasses, tuples of one type and literals.
        values: what `json.loads` gave.
        name: what messages call the values.

    Raises:
        InputError: an unknown field, a missing one, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{name}: expected an object with the fields of {cls.__name__}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(f"{name}: no such field: {', '.join(unknown)}")
    required = [
        field.name
        for field in dataclasses.fields(typing.cast(Any, cls))
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing := [key for key in required if key not in values]:
        raise InputError(f"{name}: lacks {', '.join(missing)}")
    fields = {key: _value(hints[key], value, f"{name}.{key}") for key, value in values.items()}
    return cls(**fields)


def _value(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, name)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in options:
            raise InputError(f"{name}: {value!r} is none of {', '.join(map(str, options))}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{name}: expected a list, got {value!r}")
        return tuple(_value(options[0], v, name) for v in value)
    kinds = options or (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) not in kinds:
        expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        raise InputError(f"{name}: expected {expected}, got {value!r}")
    return value
