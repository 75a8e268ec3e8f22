"""CSV files as people and spreadsheets write them."""

import pytest

from semtf.data.tables import read_table, read_table_file, require_cells
from semtf.errors import InputError


def rows(text: str) -> dict[int, list[str]]:
    """The cells of each row, by its line in the file."""
    table = read_table(text.encode(), "sites.csv")
    return dict(zip(table.index, table.to_numpy().tolist(), strict=True))


def test_words_for_missing_values_are_words() -> None:
    text = "name,site\na,NA\nb,None\nc,null\nd,nan\n"
    assert rows(text) == {2: ["a", "NA"], 3: ["b", "None"], 4: ["c", "null"], 5: ["d", "nan"]}


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("name,site\na,1\n,\n", {2: ["a", "1"]}),
        ("name,site\na,1\n\n\nb,2\n", {2: ["a", "1"], 5: ["b", "2"]}),
        ("name;site\na;1\nb;2,5\n", {2: ["a", "1"], 3: ["b", "2,5"]}),
        ("\ufeffname,site\r\na, 1 \r\n", {2: ["a", "1"]}),
        ("name,site\na,007\n", {2: ["a", "007"]}),
        ("name,site\na\n", {2: ["a", ""]}),
        ("name,site\n", {}),
        ("name,site\na,1,\nb,2\n", {2: ["a", "1"], 3: ["b", "2"]}),
        ("name,site,\na,1,\n", {2: ["a", "1"]}),
        (",name,site\n0,a,1\n", {2: ["a", "1"]}),
        ("name,site\ra,1\r", {2: ["a", "1"]}),
        ('name,site\n"a\nb",1\nc,2\n', {2: ["a\nb", "1"], 4: ["c", "2"]}),
    ],
)
def test_what_spreadsheets_write(text: str, cells: dict[int, list[str]]) -> None:
    assert rows(text) == cells
    assert read_table(text.encode(), "sites.csv").columns.tolist() == ["name", "site"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,site\na,1,x\n", "line 2: has more cells than the first line"),
        ("name,site\na,1\nb,2,x\n", "line 3: has more cells than the first line"),
        ("name,site,site\na,1,2\n", "names a column twice"),
    ],
)
def test_cells_that_no_column_would_hold(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(text.encode(), "sites.csv")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"name,site\n\xff\n", b'name,site\n"a,1\n'])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"sites\.csv: cannot be read as a CSV file"):
        read_table(content, "sites.csv")


def test_an_empty_cell_is_named_by_its_line() -> None:
    table = read_table(b"name,site\na,1\n,\nb,\n", "sites.csv")
    with pytest.raises(InputError, match=r"sites\.csv, line 4: there is no site; fill the cell"):
        require_cells(table, ["name", "site"], "sites.csv")
    require_cells(table, ["name"], "sites.csv")


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_table_file(tmp_path / "none.csv")
