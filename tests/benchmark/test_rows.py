"""Rows that are kept: found again, after a kill too, and refused where they are none."""

from pathlib import Path

import pytest

from semtf.benchmark.rows import Rows
from semtf.errors import InputError


def test_rows_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    rows = Rows(path)
    rows.add({"name": "a", "seed": 0, "rmse": 1.0})
    rows.add({"name": "a", "seed": 1, "rmse": 2.0})
    again = Rows(path)
    assert again.find({"name": "a", "seed": 1}) == {"name": "a", "seed": 1, "rmse": 2.0}
    assert again.find({"name": "a", "seed": 2}) is None


def test_half_a_line_of_a_killed_process_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"name": "a", "rmse": 1.0}\n{"name": "b", "rm', encoding="utf-8")
    rows = Rows(path)
    assert rows.find({"name": "b"}) is None
    rows.add({"name": "c", "rmse": 3.0})
    assert [row["name"] for row in Rows(path).rows] == ["a", "c"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"rmse": 1.0}\n{"name": "b"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: is no row of a benchmark"):
        Rows(path)
