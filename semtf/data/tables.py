"""Tables that users write: CSV files read as text, every cell of which counts as it stands."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from semtf.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


def read_table(content: bytes, name: str) -> "pd.DataFrame":
    """Read a CSV as text, with the line in the file where each row begins as the index.

    ``NA``, ``None`` and ``null`` are words like others. Rows without anything in them, such as
    spreadsheets leave behind the last one, count for nothing. Columns may be separated by
    semicolons, as spreadsheets of some countries write them. Rows may end early, and the cells
    that are missing are empty. Columns without a name, such as pandas writes for an index, are
    passed over.

    Args:
        content: the bytes of the file, in UTF-8.
        name: of the file, for messages.

    Raises:
        InputError: it is no such table.
    """
    import pandas as pd

    try:
        lines = list(_numbered_lines(content.decode("utf-8-sig")))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{name}: cannot be read as a CSV file ({error})") from error
    (_, header), *rows = lines or [(1, [])]
    named = [column for column in header if column]
    if not named:
        raise InputError(f"{name}: cannot be read as a CSV file (its first line names no column)")
    if len(set(named)) < len(named):
        raise InputError(f"{name}: its first line names a column twice")
    for line, cells in rows:
        if any(cells[len(header) :]):
            raise InputError(f"{name}, line {line}: has more cells than the first line")
    filled = [(line, cells) for line, cells in rows if any(cells)]
    table = [(cells + [""] * len(header))[: len(header)] for _, cells in filled]
    lines_of_rows = pd.Index([line for line, _ in filled], dtype=int)
    return pd.DataFrame(table, lines_of_rows, header, dtype=str)[named]


def _numbered_lines(text: str) -> "Iterator[tuple[int, list[str]]]":
    """The cells of each line, without spaces around them, and the line's number."""
    header = text.splitlines()[0] if text else ""
    separator = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    start = 1
    for cells in reader:
        yield start, [cell.strip() for cell in cells]
        start = reader.line_num + 1


def read_table_file(path: Path | str) -> "pd.DataFrame":
    """`read_table` of a file; raises InputError where it cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return read_table(content, str(path))


def require_cells(table: "pd.DataFrame", columns: list[str], name: str) -> None:
    """Raise InputError where a cell of some columns is empty; it names the line."""
    for column in columns:
        empty = table.index[table[column] == ""]
        if len(empty):
            raise InputError(f"{name}, line {empty[0]}: there is no {column}; fill the cell")
