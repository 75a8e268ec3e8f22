"""Outputs replace no input and no file that semtf did not write, and appear whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from semtf.errors import InputError

LEAVINGS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"})
"""Files that file managers and notebooks leave in a folder, which counts as empty."""
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
    paths = [Path(path).expanduser() for path in inputs if path is not None]
    protected: dict[Path, Path] = {}
    for path in paths:
        resolved = path.resolve()
        for folder in (resolved, *resolved.parents):
            if folder in protected:
                break
            protected[folder] = path
    owners = {_identity(folder): path for folder, path in reversed(protected.items())}
    for output in outputs:
        identity = _identity(output)
        if identity is not None and identity in owners:
            raise InputError(
                f"{output}: writing it would replace the input {owners[identity]}; "
                "choose another place for the output"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, which all its names share; None where it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def check_file(path: Path, ending: str, mark: str, inputs: Iterable[Path | str | None]) -> None:
    """Refuse a path that a file of a command cannot or should not have.

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
    """Refuse a folder that does not exist and cannot be made, or that cannot be written."""
    absolute = path.absolute()
    present = next(p for p in (absolute, *absolute.parents) if os.path.lexists(p))
    if not present.is_dir():
        raise InputError(f"{path}: no folder can be there, {present} is none; choose another place")
    if not os.access(present, os.W_OK | os.X_OK):
        raise InputError(f"{path}: {present} cannot be written; choose another place")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The temporary name of a file, which gets its own when the block ends without an error.

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


def is_unused(folder: Path, besides: str | None = None) -> bool:
    """Whether a new folder may have this name: it is unused, or that of an empty folder.

    Files whose names begin with ``besides`` do not count, nor do `LEAVINGS`.
    """
    if not folder.is_dir():
        return not folder.exists()
    return all(
        entry.name in LEAVINGS or (besides is not None and entry.name.startswith(besides))
        for entry in folder.iterdir()
    )


def give_name(built: Path, folder: Path) -> None:
    """Give a finished folder its name, which `is_unused`; `LEAVINGS` under that name are kept.

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
