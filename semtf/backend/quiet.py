"""Packages that print or warn when they are imported, without a word."""

import contextlib
import importlib
import io
import warnings
from types import ModuleType


def imported(name: str) -> ModuleType:
    """A module, imported in silence: KerasCV names its backend, TensorFlow Addons its end."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return importlib.import_module(name)
