"""What a prediction leaves on disk: depth maps as PNG in a folder or flat zip, and one table."""

import contextlib
import csv
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from semtf.data.endings import without_ending
from semtf.data.png import encode_png
from semtf.data.tables import read_table_file, require_cells
from semtf.errors import InputError
from semtf.estimation.destination import TABLE, Destination
from semtf.estimation.result import DepthResult, Neighbour

# An estimate may have a hundred neighbours; the table names those that weigh most.
NAMED = 8
STAGE = ".predictions.partial"
COLUMNS = (
    "name",
    "case",
    "case_probability",
    "similarity",
    "sigma_mean",
    "flags",
    "neighbours",
)


class Predictions(AbstractContextManager["Predictions"]):
    """Writes results as they come: PNG files into a folder, or into a zip file.

    ``predictions.csv`` lies in the folder, or beside the zip file, which holds images only, as
    the challenge's submission wants it. Everything lies in a hidden folder until it is complete,
    so an interrupted prediction leaves what was there before.

    Args:
        destination: where the files go, and may go.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        # It lies inside the folder because that one may be a disk of its own.
        self.stage = destination.folder / STAGE

    def __enter__(self) -> "Predictions":
        self.made = not self.destination.folder.exists()
        shutil.rmtree(self.stage, ignore_errors=True)
        self.stage.mkdir(parents=True)
        self.table = (self.stage / TABLE).open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.table)
        self.writer.writerow(COLUMNS)
        zipped = self.stage / self.destination.out.name
        self.archive = zipfile.ZipFile(zipped, "w") if self.destination.zipped else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.table.close()
        if self.archive is not None:
            self.archive.close()
        if kind is None:
            self._release()
        shutil.rmtree(self.stage, ignore_errors=True)
        if kind is not None and self.made:
            with contextlib.suppress(OSError):  # somebody else put something there
                self.destination.folder.rmdir()

    def _release(self) -> None:
        """Give everything its name, the table last: it tells of files that are there."""
        for target in self.destination.targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.stage / target.relative_to(self.destination.folder)).replace(target)

    def write(self, names: Sequence[str], result: DepthResult) -> None:
        """Write the results of the images of these file names."""
        sigma = result.sigma.mean(axis=(1, 2))
        for i, (name, grey) in enumerate(zip(names, result.grey(), strict=True)):
            stem = without_ending(name)
            if self.archive is None:
                (self.stage / stem).parent.mkdir(parents=True, exist_ok=True)
            self._write_png(f"{stem}.png", grey)
            if self.destination.arrays:
                np.save(self.stage / f"{stem}.npy", result.depth[i])
                np.save(self.stage / f"{stem}_sigma.npy", result.sigma[i])
            self.writer.writerow(_row(name, result, i, sigma[i]))

    def _write_png(self, name: str, grey: np.ndarray) -> None:
        if self.archive is None:
            (self.stage / name).write_bytes(encode_png(grey))
        else:
            self.archive.writestr(name, encode_png(grey))


def read_column(path: Path | str, column: str, names: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """One column of a CSV that has a row for each named image, in the order of ``names``.

    Args:
        path: a CSV file with the columns ``name`` and ``column``; names count without ending.
        column: what to read.
        names: file names, str ``[n]``.

    Returns:
        str ``[n]``.

    Raises:
        InputError: the file, a column, a cell or an image is missing, or an image has two values.
    """
    table = read_table_file(path)
    if not {"name", column} <= set(table.columns):
        raise InputError(
            f"{path}: expected the columns name and {column}, got {', '.join(table.columns)}"
        )
    require_cells(table, ["name", column], str(path))
    by_name: dict[str, str] = {}
    for name, value in zip(table["name"], table[column], strict=True):
        if by_name.setdefault(without_ending(name), value) != value:
            raise InputError(
                f"{path}: {without_ending(name)} has more than one {column}; leave one row"
            )
    missing = [name for name in names if without_ending(name) not in by_name]
    if missing:
        raise InputError(f"{path}: has no {column} for {missing[0]} ({len(missing)} missing)")
    return np.array([by_name[without_ending(name)] for name in names], np.str_)


def _row(name: str, result: DepthResult, i: int, sigma: np.float32) -> tuple[str, ...]:
    return (
        name,
        str(result.case[i]),
        f"{result.case_probability[i]:.6f}",
        f"{result.similarity[i]:.6f}",
        f"{sigma:.4f}",
        " ".join(result.flags[i]),
        heaviest_neighbours(result.neighbours[i]),
    )


def heaviest_neighbours(neighbours: Sequence[Neighbour]) -> str:
    """The neighbours of most weight as a table names them, as in ``hole_7:+1:-2:0.5321``."""
    heaviest = sorted(neighbours, key=lambda neighbour: -abs(neighbour.weight))[:NAMED]
    return " ".join(map(_neighbour, heaviest))


def _neighbour(neighbour: Neighbour) -> str:
    rows, columns = neighbour.shift
    return f"{neighbour.pair}:{rows:+d}:{columns:+d}:{neighbour.weight:.4f}"
