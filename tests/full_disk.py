"""A disk that is full, for tests of what writes to it; the fixture `tmpfs` is a small one."""

from contextlib import suppress
from pathlib import Path


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
