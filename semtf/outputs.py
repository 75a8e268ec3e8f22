"""Where outputs go: never over an input, never over a stranger's file, whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from semtf.errors import InputError

LEAVINGS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"})
"""What file managers and notebooks leave in a folder, which is empty all the same."""
HEAD = 1000


def protect(outputs: Iterable[Path], inputs: Iterable[Path | str | None]) -> None:
    """Refuse a command whose outputs would replace its inputs.

    Files are told apart by what they are on the disk, so symbolic links, ``..`` and, where the
    disk takes them for the same, capitals hide nothing.

    Args:
        outputs: files that will be written, and folders that will be replaced with all they hold.
        inputs: files and folders that are read; None stands for an input that was not given.

    Raises:
        InputError: an output is an input, or a folder in which one lies.
    """
    given = [Path(path).expanduser() for path in inputs if path is not None]
    places: dict[Path, Path] = {}
    for path in given:
        resolved = path.resolve()
        for place in (resolved, *resolved.parents):
            if place in places:
                break
            places[place] = path
    owners = {_identity(place): path for place, path in reversed(places.items())}
    for output in outputs:
        found = _identity(output)
        if found is not None and found in owners:
            raise InputError(
                f"{output}: writing it would replace the input {owners[found]}; "
                "choose another place for the output"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_file(path: Path, ending: str, mark: str, inputs: Iterable[Path | str | None]) -> None:
    """Refuse a place where a file of a command cannot or should not go.

    Args:
        path: the file to write.
        ending: how its name must end, such as ``.csv``.
        mark: what stands near the start of every such file; a file without it is somebody else's
            and is not replaced, unless it is empty.
        inputs: what the command reads, as in `protect`.

    Raises:
        InputError: any of these.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file that ends in {ending}")
    if path.suffix.lower() != ending:
        raise InputError(f"{path}: give the name of a file that ends in {ending}")
    protect([path], inputs)
    if path.exists():
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head and mark.encode() not in head:
            raise InputError(
                f"{path}: is there already and is another kind of file than this command writes; "
                "choose another name or remove it"
            )
    check_folder(path.parent)


def check_folder(path: Path) -> None:
    """Refuse a folder that is not there and cannot be made, or that cannot be written."""
    above = path.absolute()
    there = next(place for place in (above, *above.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError(f"{path}: no folder can be there, {there} is none; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{path}: {there} cannot be written; choose another place")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole: it gets its name when the block ends without an error.

    Its folder is made at need.

    Yields:
        The temporary name to write to.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_free(folder: Path, besides: str | None = None) -> bool:
    """Whether a new folder may take this name: nothing is there, or an empty folder.

    Files whose names begin with ``besides`` do not count, nor do `LEAVINGS`.
    """
    if not folder.is_dir():
        return not folder.exists()
    return all(
        entry.name in LEAVINGS or (besides is not None and entry.name.startswith(besides))
        for entry in folder.iterdir()
    )


def take_name(built: Path, folder: Path) -> None:
    """Give a finished folder its name, which must be free; ``LEAVINGS`` there stay there.

    Args:
        built: the finished folder, on the same disk.
        folder: its name.
    """
    folder = folder.resolve()
    if folder.is_dir():
        for name in LEAVINGS:
            if (folder / name).exists():
                (folder / name).rename(built / name)
    built.replace(folder)
