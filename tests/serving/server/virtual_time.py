"""An event loop whose clock jumps to the next timer, so that tests neither wait nor race."""

import asyncio
import contextlib
import selectors
from collections.abc import Coroutine
from typing import Any


class _VirtualSelector(selectors.SelectSelector):
    """Instead of waiting for a timer it moves the clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for another: nothing will ever happen"
            self.now += max(0.0, timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual_selector = _VirtualSelector()
        super().__init__(self._virtual_selector)

    def time(self) -> float:
        return self._virtual_selector.now


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for timers and tasks only."""
    with contextlib.closing(_VirtualLoop()) as loop:
        loop.run_until_complete(coroutine)


async def settle() -> None:
    """Let every task run until it waits for something that a timer or the test must bring."""
    for _ in range(50):
        await asyncio.sleep(0)
