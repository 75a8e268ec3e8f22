"""The page of a benchmark: it needs no other file and has every method."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semtf.benchmark.benchmark import COLUMNS
from semtf.benchmark.benchmark import table as as_table
from semtf.benchmark.page import over_seeds, write_page

NAMES = ("none/nearest", "adapted/tuned", "target/tuned")


def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for seed in (0, 1):
        for name in NAMES:
            values = dict(zip(COLUMNS, generator.uniform(1, 9, len(COLUMNS)), strict=True))
            rows.append({**values, "case_1": 2.0, "method": name.replace("/", ", "), "name": name,
                         "seed": seed, "images": 24, "pairs": None})  # fmt: skip
    made = pd.DataFrame(rows)
    made.loc[0, "coverage"] = np.nan
    return made


def test_rows_without_any_number_in_a_column_make_a_page(tmp_path: Path) -> None:
    rows = [{**row, "coverage": None} for row in table().to_dict("records")]
    write_page(as_table(rows), tmp_path / "page.html", Path("data"))
    assert as_table(rows)["coverage"].isna().all()


def test_the_page_has_all_methods_and_needs_no_other_file(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_page(table(), out, Path("some/data"))
    text = out.read_text(encoding="utf-8")
    assert "<title>semtf benchmark of data</title>" in text
    assert text.count("<svg") == 2
    for method in ("none, nearest", "adapted, tuned", "target, tuned"):
        assert text.count(f"<th>{method}</th>") == 4
    assert 'src="' not in text
    assert 'href="http' not in text
    assert "nan" not in text.split("<script>")[0].lower().replace("nanometre", "")


def test_seeds_are_averaged_and_the_smallest_error_comes_first() -> None:
    made = table()
    means = over_seeds(made)
    assert list(means["rmse"]) == sorted(means["rmse"])
    for row in means.to_dict("records"):
        both = made[made["name"] == row["name"]]["rmse"]
        assert row["rmse"] == pytest.approx(both.mean())
        assert row["spread"] == pytest.approx(both.std())
