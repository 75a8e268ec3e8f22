"""Room on the disk: checked before it is needed, and one line where it runs out."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semtf.errors import InputError, TrainingError

BLOCK = 1 << 20
# The system's messages: NumPy and TensorFlow pass them on without the error number.
FULL = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "not enough space on the disk",
    "requested and",
)


def require_room(path: Path, needed: int, purpose: str) -> None:
    """Raise InputError where the disk of a path, which may not exist yet, has less room.

    Args:
        path: where it will be written.
        needed: bytes.
        purpose: what needs the room, as in "the run".
    """
    path = path.absolute()
    free = shutil.disk_usage(present(path)).free
    if free < needed:
        raise InputError(
            f"{path}: {purpose} needs about {in_words(needed)} and the disk has {in_words(free)} "
            "left; free some or choose a folder on another disk"
        )


def present(path: Path) -> Path:
    """An absolute path, or what is there of it: the nearest of its parents."""
    return next(place for place in (path, *path.parents) if place.exists())


def probe_room(path: Path, size: int) -> None:
    """Make sure that a file of a size has room, by writing one and removing it.

    Raises:
        OSError: the disk has no such room.
    """
    try:
        with path.open("wb") as file:
            for start in range(0, size, BLOCK):
                file.write(bytes(min(BLOCK, size - start)))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def explain_full_disk(folder: Path | str, remedy: str) -> Iterator[None]:
    """Turn every error of a full disk in the block into a TrainingError of one line.

    Args:
        folder: what the block writes to.
        remedy: how the user goes on once the disk has room again.
    """
    try:
        yield
    except (InputError, TrainingError):
        raise
    except Exception as error:
        if not any(message in str(error) for message in FULL):
            raise
        raise TrainingError(
            f"{folder}: no room left on the disk ({error}); free some, then {remedy}"
        ) from error


def in_words(count: float) -> str:
    """Bytes with a unit, as in ``1.34 GB``."""
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"
