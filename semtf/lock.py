"""One writer for a run folder at a time: a lock file names its process and machine."""

import errno
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import psutil

from semtf.errors import InputError
from semtf.outputs import is_unused
from semtf.progress import inform

LOCK = ".lock"
CLAIM = ".claim"
HEARTBEAT_SECONDS = 30.0
SILENT_SECONDS = 20 * HEARTBEAT_SECONDS
# Between the creation of a lock file and the line in it, its writer may have been killed.
UNWRITTEN_SECONDS = 2.0
TAKING_SECONDS = 20.0
PAUSE_SECONDS = 0.05
WAITING_SECONDS = 0.5
TOLD_SECONDS = 5.0


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        pid: process id.
        started: when that process started, seconds since 1970; it tells processes of one id apart.
        host: its machine.
        since: when it took the lock, seconds since 1970.
        doing: what is being done to the folder, such as ``"trained"``.
        token: tells this lock from every other one.
    """

    pid: int
    started: float
    host: str
    since: float
    doing: str
    token: str

    @classmethod
    def here(cls, doing: str) -> "Holder":
        """This process."""
        pid, token = os.getpid(), secrets.token_hex(8)
        started = psutil.Process(pid).create_time()
        return cls(pid, started, socket.gethostname(), time.time(), doing, token)

    def line(self) -> str:
        """The content of its lock file."""
        return json.dumps(asdict(self)) + "\n"

    def is_gone(self) -> bool:
        """Whether its process is known to have ended; of another machine nothing is known."""
        if self.host != socket.gethostname():
            return False
        if self.pid <= 0:
            return True
        try:
            process = psutil.Process(self.pid)
            return (
                process.status() == psutil.STATUS_ZOMBIE
                or abs(process.create_time() - self.started) > 1.0
            )
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


class HeldError(InputError):
    """Another process holds a lock.

    Attributes:
        holder: that process.
        state: what it does, in words.
        silent: whether it runs on another machine and has given no sign for long.
    """

    def __init__(self, holder: Holder, state: str, way: str, *, silent: bool) -> None:
        super().__init__(f"{state}{way}")
        self.holder = holder
        self.state = state
        self.silent = silent


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
                self._holder = _take(self._path, doing)
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
        other = _read(self._path)
        return None if other is None or other.is_gone() else _held(self._path, other)

    def relabel(self, doing: str) -> None:
        """Say something else of what is done to the folder, where this holds the lock."""
        if self._holder is not None:
            self._holder = replace(self._holder, doing=doing)
            # Who reads a line that is not complete looks again (`_read`).
            self._path.write_text(self._holder.line(), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back, where this holds it."""
        if self._heart is not None:
            self._ended.set()
            self._heart.join()
            self._heart = None
        if self._holder is not None:
            _release(self._path, self._holder)
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
    holders = {path.name.removeprefix(f"{LOCK}."): _read(path) for path in paths}
    return {part: holder for part, holder in holders.items() if holder and not holder.is_gone()}


def _refuse_parts(folder: Path) -> None:
    for part, holder in sorted(part_holders(folder).items()):
        raise _held(folder / f"{LOCK}.{part}", holder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def is_vacant(folder: Path) -> bool:
    """Whether a folder is missing, or empty but for its lock."""
    return is_unused(folder, besides=LOCK)


def _take(path: Path, doing: str) -> Holder:
    """Create the lock file, or take over one whose process is gone."""
    holder = Holder.here(doing)
    end = time.monotonic() + TAKING_SECONDS
    while not _create(path, holder):
        other = _read(path)
        if other is not None and not other.is_gone():
            raise _held(path, other)
        if time.monotonic() > end:
            raise InputError(f"{path}: cannot be taken over; delete it where nothing is running")
        if other is None or not _remove_dead(path, other):
            time.sleep(PAUSE_SECONDS)  # another process is writing it, or removing it
    return holder


def _remove_dead(path: Path, dead: Holder) -> bool:
    """Remove a dead process's lock file, and say whether it was there; one process at a time may.

    Without the claim, one that read the dead lock a moment ago would remove its successor's.
    """
    claim = path.with_name(path.name + CLAIM)
    try:
        claimant = _take(claim, "taken over")
    except InputError:
        return False
    try:
        present = _read(path) == dead
        if present:
            path.unlink()
        return present
    finally:
        _release(claim, claimant)


def _create(path: Path, holder: Holder) -> bool:
    """Make the lock file; False where there is one."""
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(file, holder.line().encode())
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(file)
    return True


def _read(path: Path) -> Holder | None:
    """The holder of a lock file; None where it is gone or its line is not complete yet."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except PermissionError:
        if os.name != "nt":  # Windows denies the reading of what is being removed.
            raise
        return None
    except (ValueError, TypeError):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UNWRITTEN_SECONDS:
                return Holder(-1, 0.0, socket.gethostname(), 0.0, "", "")
        return None


def _release(path: Path, holder: Holder) -> None:
    if _read(path) == holder:
        path.unlink(missing_ok=True)


def _beat(path: Path, ended: threading.Event) -> None:
    """Renew the lock file's time of change, by which other machines know that its holder lives."""
    while not ended.wait(HEARTBEAT_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _held(path: Path, holder: Holder) -> HeldError:
    """The error that says who holds a lock, and what to do."""
    part = path.name.removeprefix(LOCK).removeprefix(".").replace("_", " ")
    since = datetime.fromtimestamp(holder.since).strftime("%Y-%m-%d %H:%M")
    state = (
        f"{path.parent}: {part}{' ' * bool(part)}is being {holder.doing} by process {holder.pid} "
        f"on {holder.host} since {since}"
    )
    way = "wait for it, or choose another --run"
    if holder.host == socket.gethostname():
        return HeldError(holder, state, f"; {way}", silent=False)
    try:
        seconds = time.time() - path.stat().st_mtime
    except OSError:
        seconds = 0.0
    if seconds < SILENT_SECONDS:
        sign = f", and gave a sign {seconds:.0f} s ago; {way}"
        return HeldError(holder, state, sign, silent=False)
    silence = (
        f", but gave no sign for {seconds / 60:.0f} min; if it has ended there, delete {path}, or "
        "choose another --run"
    )
    return HeldError(holder, state, silence, silent=True)
