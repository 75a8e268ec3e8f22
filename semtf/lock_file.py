"""A lock file: it names the process that holds a lock, and its machine."""

import json
import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

from semtf.errors import InputError

LOCK = ".lock"
CLAIM = ".claim"
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


def take(path: Path, doing: str) -> Holder:
    """Create a lock file, or take over one whose process is gone; raises HeldError else."""
    holder = Holder.here(doing)
    end = time.monotonic() + TAKING_SECONDS
    while not _create(path, holder):
        other = read(path)
        if other is not None and not other.is_gone():
            raise held(path, other)
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
        claimant = take(claim, "taken over")
    except InputError:
        return False
    try:
        present = read(path) == dead
        if present:
            path.unlink()
        return present
    finally:
        release(claim, claimant)


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


def read(path: Path) -> Holder | None:
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


def release(path: Path, holder: Holder) -> None:
    """Remove a lock file, where it is still this holder's."""
    if read(path) == holder:
        path.unlink(missing_ok=True)


def held(path: Path, holder: Holder) -> HeldError:
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
