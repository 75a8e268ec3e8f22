"""Errors of Python calls, in the words of Python: the rooms below speak of options."""

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from semtf.errors import InputError, TrainingError

Function = TypeVar("Function", bound=Callable[..., Any])

COMMAND = r"`?semtf(?:-train| [a-z-]+)(?: --?[a-z][a-z0-9-]*(?: [A-Z][A-Z0-9,=]*)?)*`?"
"""A whole command: it stays as it is, for a terminal is a way out, too."""
VALUE = r"WORDS|[A-Za-z_.]+=\S+?|\S+(?=:)"
OPTION = rf"(?<![\w/-])--(?P<name>[a-z][a-z0-9-]*)(?: (?P<value>{VALUE})(?![\w.=]))?"
WORDS = ("exact", "scann", "auto", "none", "percentile", "shift", "centre", "multiworker", "tpu")
FLAGS = ("resume", "skip-bad", "arrays")
PATTERN = re.compile(f"(?P<command>{COMMAND})|{OPTION.replace('WORDS', '|'.join(WORDS))}")


def python_words(message: str) -> str:
    """A message with keyword arguments in place of command-line options.

    ``--resume`` becomes ``resume=True``, ``--index exact`` becomes ``index="exact"``, and
    ``--set adaptation.width=8`` becomes ``config={"adaptation.width": 8}``.
    """
    return PATTERN.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    if found["command"]:
        return found["command"]
    name, value = found["name"].replace("-", "_"), found["value"]
    if name == "set":
        if value is None:
            return "config="
        field, equals, setting = value.partition("=")
        return f'config={{"{field}": {setting}}}' if equals else f"config: {field}"
    if found["name"] in FLAGS:
        return f"{name}=True" + (f" {value}" if value else "")
    if value is None:
        return f"{name}="
    return f'{name}="{value}"' if value in WORDS else f"{name}={value}"


def speaking_python(function: Function) -> Function:
    """A function whose errors name its arguments and not the options of a command."""

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except (InputError, TrainingError) as error:
            error.args = (python_words(str(error)),)
            raise

    return cast(Function, call)
