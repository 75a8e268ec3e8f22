"""Tables that users write: CSV files read as text, every cell of which counts as it stands."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FIRST_LINE = 2
"""The line of the first row in the file: the header is line 1."""


def read_table(content: bytes, name: str) -> "pd.DataFrame":
    """Read a CSV as text, with the line of each row as the index.

    ``NA``, ``None`` and ``null`` are words like others. Rows without anything in them, such as
    spreadsheets leave behind the last one, count for nothing. Columns may be separated by
    semicolons, as spreadsheets of some countries write them.

    Args:
        content: the bytes of the file, in UTF-8.
        name: of the file, for messages.

    Raises:
        InputError: it is no such table.
    """
    import pandas as pd

    header = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    separator = ";" if b";" in header and b"," not in header else ","
    try:
        table = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            index_col=False,
            encoding="utf-8-sig",
        )
    except ValueError as error:
        raise InputError(f"{name}: cannot be read as a CSV file ({error})") from error
    table = table.fillna("").map(str.strip)
    table.index = pd.RangeIndex(FIRST_LINE, FIRST_LINE + len(table))
    return table[(table != "").any(axis=1)]


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
