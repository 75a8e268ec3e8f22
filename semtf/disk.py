"""Room on the disk: asked for before it is needed, and told of in one line when it runs out."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semtf.errors import InputError, TrainingError

BLOCK = 1 << 20
# NumPy and TensorFlow pass on the system's words without its error number.
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
        purpose: what for, as in "the run".
    """
    path = path.absolute()
    present = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(present).free
    if free < needed:
        raise InputError(
            f"{path}: {purpose} needs about {_size(needed)} and the disk has {_size(free)} left; "
            "free some or choose a folder on another disk"
        )


def reserve(path: Path, size: int) -> None:
    """Find out, by writing that many bytes to a file and removing it, that there is room.

    Raises:
        OSError: there is none.
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
def full_disk_told(folder: Path, way_on: str) -> Iterator[None]:
    """Turn every error of a full disk in the block into a TrainingError of one line.

    Args:
        folder: what the block writes to.
        way_on: how to go on when there is room again.
    """
    try:
        yield
    except (InputError, TrainingError):
        raise
    except Exception as error:
        if not any(words in str(error) for words in FULL):
            raise
        raise TrainingError(
            f"{folder}: no room left on the disk ({error}); free some, then {way_on}"
        ) from error


def _size(count: float) -> str:
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"
