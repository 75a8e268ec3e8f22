"""A benchmark's function in a process of its own, with memory and graphs of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Result = TypeVar("Result")


def run_isolated(function: Callable[..., Result], *arguments: object) -> Result:
    """The result of a function of a module, called in a fresh interpreter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
