"""One writer for a run folder at a time: a lock file names its process and machine."""

import errno
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from semtf import lock_file
from semtf.errors import InputError
from semtf.lock_file import CLAIM, HEARTBEAT_SECONDS, LOCK, HeldError, Holder
from semtf.outputs import is_unused
from semtf.progress import inform

WAITING_SECONDS = 0.5
TOLD_SECONDS = 5.0


def always(holder: Holder) -> bool:
    """Wait for every holder."""
    return True


def never(holder: Holder) -> bool:
    """Wait for no holder."""
    return False


class Lock:
    """A lock of a folder, which is taken and given back, several times if need be.

    Args:
        folder: the folder; it must be there.
        part: what of the folder is locked, such as ``"case_3"``; the whole where None.
    """

    def __init__(self, folder: Path, part: str | None = None) -> None:
        self._path = folder / (LOCK if part is None else f"{LOCK}.{part}")
        self._holder: Holder | None = None
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, doing: str, *, waits: Callable[[Holder], bool] = never) -> None:
        """Take the lock.

        Args:
            doing: what is done to the folder, for the message to others: "is being trained by …".
            waits: for which holders this waits, as long as they live.

        Raises:
            HeldError: another process holds it for which this does not wait, or no sign came of
                it for long.
            InputError: it cannot be taken over.
            OSError: the folder cannot be written.
        """
        tells = time.monotonic() + TOLD_SECONDS
        while self._holder is None:
            try:
                self._holder = lock_file.take(self._path, doing)
            except HeldError as error:
                if error.silent or not waits(error.holder):
                    raise
                if time.monotonic() > tells:
                    tells = math.inf
                    inform(f"waiting: {error.state}")
                time.sleep(WAITING_SECONDS)  # a lock file does not tell when it goes
        self._ended = threading.Event()
        self._heart = threading.Thread(target=_beat, args=(self._path, self._ended), daemon=True)
        self._heart.start()

    @contextmanager
    def held(self, doing: str, *, waits: Callable[[Holder], bool]) -> Iterator[None]:
        """Hold the lock while the block runs; arguments and errors are those of `take`."""
        self.take(doing, waits=waits)
        try:
            yield
        finally:
            self.release()

    def refusal(self) -> HeldError | None:
        """What `take` would raise where another process holds the lock; else None."""
        other = lock_file.read(self._path)
        return None if other is None or other.is_gone() else lock_file.held(self._path, other)

    def relabel(self, doing: str) -> None:
        """Say something else of what is done to the folder, where this holds the lock."""
        if self._holder is not None:
            self._holder = replace(self._holder, doing=doing)
            # Who reads a line that is not complete looks again (`lock_file.read`).
            self._path.write_text(self._holder.line(), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back, where this holds it."""
        if self._heart is not None:
            self._ended.set()
            self._heart.join()
            self._heart = None
        if self._holder is not None:
            lock_file.release(self._path, self._holder)
            self._holder = None


@contextmanager
def lock_folder(
    folder: Path,
    doing: str,
    *,
    joins: bool = False,
    waits: Callable[[Holder], bool] = never,
) -> Iterator[Lock]:
    """Lock a folder against other writers while the block runs; readers need no lock.

    The lock of a process that was killed is taken over. A folder that is not there is made, and
    removed again where nothing is in it in the end.

    Args:
        folder: the folder.
        doing: what is done to it, as for `Lock.take`.
        joins: whether others may hold parts of the folder (`part_holders`).
        waits: as for `Lock.take`.

    Yields:
        The lock, which the block may give back and take again.

    Raises:
        InputError: another process holds it, or the folder cannot be written.
    """
    new = not folder.exists()
    lock = Lock(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.take(doing, waits=waits)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise InputError(f"{folder}: is a file; choose another --run") from error
        if new:
            _remove_empty(folder)
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); choose another --run"
        ) from error
    try:
        if not joins:
            _refuse_parts(folder)
        yield lock
    finally:
        lock.release()
        if new:
            _remove_empty(folder)


def part_holders(folder: Path) -> dict[str, Holder]:
    """By part of a folder, the process that holds its lock; those known to have ended are none."""
    paths = [path for path in folder.glob(f"{LOCK}.*") if path.suffix != CLAIM]
    holders = {path.name.removeprefix(f"{LOCK}."): lock_file.read(path) for path in paths}
    return {part: holder for part, holder in holders.items() if holder and not holder.is_gone()}


def _refuse_parts(folder: Path) -> None:
    for part, holder in sorted(part_holders(folder).items()):
        raise lock_file.held(folder / f"{LOCK}.{part}", holder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def is_vacant(folder: Path) -> bool:
    """Whether a folder is missing, or empty but for its lock."""
    return is_unused(folder, besides=LOCK)


def _beat(path: Path, ended: threading.Event) -> None:
    """Renew the lock file's time of change, by which other machines know that its holder lives."""
    while not ended.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):
            os.utime(path)
