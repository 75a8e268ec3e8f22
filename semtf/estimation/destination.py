"""The destination of a prediction's files, and what would be lost by writing them there."""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from semtf.data.endings import IMAGES, PICTURES, without_ending
from semtf.data.names import named_after
from semtf.errors import InputError
from semtf.outputs import check_folder, protect

TABLE = "predictions.csv"
ARRAYS = (".npy", "_sigma.npy")
ARCHIVES = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
TABLES = (".csv", ".tsv", ".json", ".txt", ".html", ".pdf", ".xls", ".xlsx", ".parquet")
ARRAY_FILES = (".npy", ".npz", ".h5", ".hdf5")
FILES = frozenset((*ARCHIVES, *PICTURES, *TABLES, *ARRAY_FILES))
"""Endings of names that a user means for a file."""


@dataclass(frozen=True)
class Destination:
    """The folder or zip file of a prediction.

    Attributes:
        out: a folder, or a zip file.
        arrays: whether depth and sigma are written as ``.npy``, too.
        files: the files of the images, inside ``out``.
    """

    out: Path
    arrays: bool
    files: Sequence[str]

    @property
    def zipped(self) -> bool:
        """Whether the depth maps go into a zip file."""
        return self.out.suffix.lower() == ".zip"

    @property
    def folder(self) -> Path:
        """The folder in which ``predictions.csv`` lies."""
        return self.out.parent if self.zipped else self.out

    @property
    def targets(self) -> list[Path]:
        """The files that are written, the table last."""
        images = [self.out] if self.zipped else [self.out / file for file in self.files]
        return [*images, self.folder / TABLE]


def safe_destination(
    out: Path,
    names: Sequence[str],
    images: Path,
    *,
    inputs: Iterable[Path | None] = (),
    arrays: bool = False,
) -> Destination:
    """The destination of a prediction, once it is certain that nothing of value is replaced.

    Args:
        out: a folder, or a name that ends in ``.zip``.
        names: file names of the images.
        images: where they lie, for messages.
        inputs: the files that are read.
        arrays: also write depth and sigma as ``.npy``.

    Raises:
        InputError: ``out`` is neither; two images would have the same file; a file of the
            prediction would replace an input or another prediction's table or zip file; or the
            folder holds images of another prediction, which would be taken for this one's.
    """
    check_form(out, arrays)
    files = named_after(names, images, (".png", *ARRAYS) if arrays else (".png",))
    destination = Destination(out, arrays, files)
    protect(destination.targets, inputs)
    if destination.zipped:
        _check_beside(destination)
    else:
        _check_inside(destination)
    return destination


def check_form(out: Path, arrays: bool) -> None:
    """Refuse an ``out`` that is neither a folder nor a name of a zip file, or cannot be made."""
    zipped = out.suffix.lower() == ".zip"
    if arrays and zipped:
        raise InputError(f"--arrays: write into a folder, not into {out.name}")
    if zipped and out.is_dir():
        raise InputError(f"{out}: is a folder; give another name that ends in .zip")
    if not zipped and out.is_file():
        raise InputError(f"{out}: is a file; give a folder or a name that ends in .zip")
    if out.suffix.lower() in FILES and not out.is_dir():
        raise InputError(f"{out}: is no zip file; choose a folder or a name that ends in .zip")
    check_folder(out.parent if zipped else out)


def _check_beside(destination: Destination) -> None:
    """Refuse to replace a zip file or a table, unless they are of one prediction."""
    table = destination.folder / TABLE
    if not destination.out.exists() and not table.exists():
        return
    if not table.exists():
        raise InputError(
            f"{destination.out}: is there already, without the {TABLE} of a prediction beside it; "
            "choose another --out or remove it"
        )
    named = _named(table)
    if named is None or named != _members(destination.out):
        raise InputError(
            f"{table}: does not belong to {destination.out.name} and would be replaced; "
            "choose another folder for --out"
        )


def _check_inside(destination: Destination) -> None:
    """Refuse a folder with another table, or with images or arrays that would be taken for ours."""
    table = destination.folder / TABLE
    if table.exists():
        named = _named(table)
        if not named or not any((destination.out / file).exists() for file in named):
            raise InputError(
                f"{table}: does not belong to depth maps in this folder and would be replaced; "
                "choose another folder for --out"
            )
    if not destination.out.is_dir():
        return
    ours = set(destination.files)
    in_folders = any("/" in file for file in destination.files)
    present = destination.out.rglob("*") if in_folders else destination.out.iterdir()
    for path in sorted(present):
        file = path.relative_to(destination.out).as_posix()
        if path.suffix.lower() in (*IMAGES, ".npy") and "/." not in f"/{file}" and file not in ours:
            raise InputError(
                f"{path}: is not of this prediction and would be taken for a part of it; "
                "choose an empty folder for --out"
            )


def _named(table: Path) -> set[str] | None:
    """The depth maps that a table tells of; None where it is not a prediction's."""
    try:
        columns = ["name", "case_probability"]
        names = pd.read_csv(table, usecols=columns, dtype=str, keep_default_na=False)["name"]
    except (OSError, ValueError):
        return None
    return {f"{without_ending(str(name))}.png" for name in names}


def _members(path: Path) -> set[str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return None
