"""`asyncio.timeout`, which Python 3.10 lacks."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio


def timeout(seconds: float) -> AbstractAsyncContextManager[Any]:
    """Raise TimeoutError in the block where it takes longer than ``seconds``."""
    if sys.version_info >= (3, 11):
        return asyncio.timeout(seconds)
    return _timeout(seconds)


@contextlib.asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    with anyio.fail_after(seconds):
        yield
