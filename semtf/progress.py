"""Progress on stderr: a rich bar on a terminal, plain lines elsewhere and in notebooks."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
PLAIN_SECONDS = 10.0
NOTEBOOK = "JPY_PARENT_PID"
"""Set for what a notebook starts with ``!``: a terminal that keeps every state of a bar."""


class Advance(Protocol):
    """Count steps of a task."""

    def __call__(self, steps: int, note: str, total: int | None = None) -> None:
        """Count ``steps`` more; ``note`` is shown, and ``total`` is the new number of all."""


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Advance]:
    """Show the progress of a task; the block calls ``advance(steps, note)``.

    Args:
        description: the task, in two or three words.
        total: number of steps, or None where it is not known.

    Yields:
        ``advance(steps, note)``: count ``steps`` more; ``note`` is shown behind the bar. A third
        argument is the number of all steps where that has changed.
    """
    if sys.stderr.isatty() and NOTEBOOK not in os.environ:
        with _bar(description, total) as advance:
            yield advance
    else:
        with _lines(description, total) as advance:
            yield advance


def inform(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {message}", file=sys.stderr)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate over ``items`` with a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(description, total) as advance:
        for item in items:
            yield item
            advance(1, "")


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        Rate(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=total, note="")
        yield lambda steps, note, total=None: bars.update(
            task, advance=steps, note=note, total=total
        )


@contextmanager
def _lines(description: str, total: int | None) -> Iterator[Advance]:
    start = last = time.monotonic()
    done, all_steps = 0, total
    # The first step traces graphs and opens files: time left is told from those behind it.
    first: tuple[int, float] | None = None

    def show(note: str) -> None:
        now = time.monotonic()
        seconds, remaining = now - start, ""
        if all_steps is not None and first is not None and first[0] < done < all_steps:
            pace = (now - first[1]) / (done - first[0])
            remaining = f", {pace * (all_steps - done):.0f} s left"
        of_total = "" if all_steps is None else f"/{all_steps}"
        rate = f"{done / seconds:.3g}/s" if seconds else ""
        line = f"{description}: {done}{of_total} {seconds:.0f} s, {rate}{remaining} {note}"
        print(line.rstrip(), file=sys.stderr)

    def advance(steps: int, note: str, total: int | None = None) -> None:
        nonlocal done, last, all_steps, first
        done += steps
        all_steps = total or all_steps
        now = time.monotonic()
        first = first or (done, now)
        if now - last > PLAIN_SECONDS and done != all_steps:
            last = now
            show(note)

    yield advance
    if time.monotonic() - start > 2.0:
        show("done")
