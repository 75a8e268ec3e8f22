"""The names of images: what two images share, and files that are named after an image."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from semtf.data.endings import without_ending
from semtf.errors import InputError


def check_unique(names: Iterable[str]) -> None:
    """Raise InputError where a name is given twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise InputError(f"names: {name} is given twice; give each image its own")
        seen.add(name)


def named_after(
    names: Iterable[str], folder: Path | str, endings: Sequence[str] = (".png",)
) -> list[str]:
    """The files that belong to images: the name of each with every ending in place of its own.

    Args:
        names: file names of images, ``site/name`` where they lie in site folders.
        folder: where they lie, for the message.
        endings: what takes the place of the names' own endings.

    Raises:
        InputError: two images would have the same file, or files that differ in capitals only,
            which are the same on many disks.
    """
    owners: dict[str, str] = {}
    files = []
    for name in names:
        for ending in endings:
            file = without_ending(name) + ending
            other = owners.setdefault(file.casefold(), name)
            if other != name:
                raise InputError(
                    f"{folder}: {other} and {name} cannot be told apart, both stand for {file}; "
                    "rename one or move it away"
                )
            files.append(file)
    return files
