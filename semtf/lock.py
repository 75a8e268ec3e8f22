"""One writer for a run folder at a time: a lock file names its process and machine."""

import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from semtf.errors import InputError
from semtf.outputs import is_unused

LOCK = ".lock"
HEARTBEAT_SECONDS = 30.0
SILENT_SECONDS = 20 * HEARTBEAT_SECONDS
# Between the creation of a lock file and the line in it, its writer may have been killed.
UNWRITTEN_SECONDS = 2.0
TAKING_SECONDS = 20.0
PAUSE_SECONDS = 0.05


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


@contextmanager
def lock_folder(folder: Path, doing: str) -> Iterator[None]:
    """Lock a folder against other writers while the block runs; readers need no lock.

    The lock of a process that was killed is taken over. A folder that is not there is made, and
    removed again where nothing is in it in the end.

    Args:
        folder: the folder.
        doing: what is done to it, for the message to the others: "is being trained by …".

    Raises:
        InputError: another process holds it, or the folder cannot be written.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holder = _take(folder / LOCK, doing)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise InputError(f"{folder}: is a file; choose another --run") from error
        if new:
            _remove_empty(folder)
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); choose another --run"
        ) from error
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(folder / LOCK, ended), daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        _release(folder / LOCK, holder)
        if new:
            _remove_empty(folder)


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
            raise InputError(_refusal(path, other))
        if time.monotonic() > end:
            raise InputError(f"{path}: cannot be taken over; delete it where nothing is running")
        if other is None or not _remove_dead(path, other):
            time.sleep(PAUSE_SECONDS)  # another process is writing it, or removing it
    return holder


def _remove_dead(path: Path, dead: Holder) -> bool:
    """Remove a dead process's lock file, and say whether it was there; one process at a time may.

    Without the claim, one that read the dead lock a moment ago would remove its successor's.
    """
    claim = path.with_name(path.name + ".claim")
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
        os.write(file, (json.dumps(asdict(holder)) + "\n").encode())
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


def _refusal(path: Path, holder: Holder) -> str:
    since = datetime.fromtimestamp(holder.since).strftime("%Y-%m-%d %H:%M")
    state = (
        f"{path.parent}: is being {holder.doing} by process {holder.pid} on {holder.host} "
        f"since {since}"
    )
    if holder.host == socket.gethostname():
        return f"{state}; wait for it, or choose another --run"
    try:
        silent = time.time() - path.stat().st_mtime
    except OSError:
        silent = 0.0
    if silent < SILENT_SECONDS:
        return f"{state}, and gave a sign {silent:.0f} s ago; wait for it, or choose another --run"
    return (
        f"{state}, but gave no sign for {silent / 60:.0f} min; if it has ended there, "
        f"delete {path}, or choose another --run"
    )
