"""The version folders of a model, and how a change of one is recognised."""

import contextlib
from pathlib import Path

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of change in nanoseconds of each file of a folder."""


def version_folders(folder: Path) -> dict[int, Path]:
    """The version folders of a model: those named by a number that hold a SavedModel."""
    try:
        children = list(folder.iterdir())
    except OSError:
        return {}
    return {
        int(child.name): child
        for child in children
        if child.name.isascii() and child.name.isdecimal() and _has_model(child)
    }


def _has_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file()


def stamp_of(folder: Path) -> Stamp:
    """Names, sizes and times of all files of a folder, sorted."""
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it may vanish while we look
            status = path.stat()
            if not path.is_dir():
                name = path.relative_to(folder).as_posix()
                files.append((name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))
