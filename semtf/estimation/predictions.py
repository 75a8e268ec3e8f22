"""What a prediction leaves on disk: depth maps as PNG in a folder or flat zip, and one table."""

import csv
import io
import zipfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from semtf.errors import InputError
from semtf.estimation.result import DepthResult, Neighbour

TABLE = "predictions.csv"
# An estimate may have a hundred neighbours; the table names those that weigh most.
NAMED = 8
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
    the challenge's submission wants it. A zip file gets its name when it is complete.
    """

    def __init__(self, out: Path, *, arrays: bool = False) -> None:
        self.out = out
        self.zipped = out.suffix.lower() == ".zip"
        if arrays and self.zipped:
            raise InputError(f"--arrays: write into a folder, not into {out.name}")
        if not self.zipped and out.is_file():
            raise InputError(f"{out}: is a file; give a folder or a name that ends in .zip")
        self.arrays = arrays
        folder = out.parent if self.zipped else out
        folder.mkdir(parents=True, exist_ok=True)
        self.temporary = out.with_name(out.name + ".partial")
        self.table_path = folder / TABLE

    def __enter__(self) -> "Predictions":
        self.table = self.table_path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.table)
        self.writer.writerow(COLUMNS)
        self.archive = zipfile.ZipFile(self.temporary, "w") if self.zipped else None
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
                self.temporary.replace(self.out)
            else:
                self.temporary.unlink(missing_ok=True)

    def write(self, names: Sequence[str], result: DepthResult) -> None:
        """Write the results of the images of these file names."""
        sigma = result.sigma.mean(axis=(1, 2))
        for i, (name, grey) in enumerate(zip(names, result.grey(), strict=True)):
            stem = without_ending(name)
            if self.archive is None:
                (self.out / stem).parent.mkdir(exist_ok=True)
            self._write_png(f"{stem}.png", grey)
            if self.arrays:
                np.save(self.out / f"{stem}.npy", result.depth[i])
                np.save(self.out / f"{stem}_sigma.npy", result.sigma[i])
            self.writer.writerow(_row(name, result, i, sigma[i]))

    def _write_png(self, name: str, grey: np.ndarray) -> None:
        if self.archive is None:
            Image.fromarray(grey).save(self.out / name, format="PNG")
            return
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, format="PNG")
        self.archive.writestr(name, buffer.getvalue())


def without_ending(name: str) -> str:
    """What names an image: its path without the ending of the file."""
    return str(PurePosixPath(name).with_suffix(""))


def read_column(path: Path | str, column: str, names: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """One column of a CSV that has a row for each named image, in the order of ``names``.

    Args:
        path: a CSV file with the columns ``name`` and ``column``; names count without ending.
        column: what to read.
        names: file names, str ``[n]``.

    Returns:
        str ``[n]``.

    Raises:
        InputError: the file, a column or an image is missing.
    """
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if not {"name", column} <= set(table.columns):
        raise InputError(
            f"{path}: expected the columns name and {column}, got {', '.join(table.columns)}"
        )
    by_name = {
        without_ending(name): value
        for name, value in zip(table["name"], table[column], strict=True)
    }
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
        " ".join(map(_neighbour, _heaviest(result.neighbours[i]))),
    )


def _heaviest(neighbours: Sequence[Neighbour]) -> list[Neighbour]:
    return sorted(neighbours, key=lambda neighbour: -abs(neighbour.weight))[:NAMED]


def _neighbour(neighbour: Neighbour) -> str:
    rows, columns = neighbour.shift
    return f"{neighbour.pair}:{rows:+d}:{columns:+d}:{neighbour.weight:.4f}"
