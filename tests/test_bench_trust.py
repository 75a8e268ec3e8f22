"""The benchmark of σ: its table, going on from a file, and a tiny fab."""

import argparse
import json
from pathlib import Path

import bench_trust
import numpy as np
import pytest

ZONES = ("certain", "plate", "wall", "floor")


def row(fab: str, wall: float) -> dict:
    names = bench_trust.World(Path(), fab, 50, 40, 20, True).names(1)
    figures = {"rmse": 2.02, "retrieval": 2.5, "regression": 2.0, "share": 0.7, "rare": 0.0}
    coverage = dict(zip(ZONES, (1.0, 0.9, wall, 0.91), strict=True))
    shares = dict.fromkeys(ZONES, 0.25)
    over = dict.fromkeys(ZONES[1:], 1.01)
    judged = {"coverage": coverage, "pixels": shares, "over_oracle": over, "certain_right": 0.999}
    return names | figures | judged


def test_the_table_and_its_summary() -> None:
    text = bench_trust.table([row("dose", 0.89), row("tonal", 0.8), row("random:1", 0.93)])
    assert "| `dose` | 1 | 2.02 | 2.50 | 2.00 | 0.7 | 90.0% | 89.0% | 91.0% |" in text
    assert "wall: 89.0% in the median, 80.0% to 93.0%; within 86 to 94 % in 2 of 3." in text
    assert "+1.0% in the median" in text


def test_rows_that_are_there_are_not_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    out.write_text(json.dumps(row("dose", 0.89)) + "\n")
    sizes = {"pairs": 50, "train": 40, "test": 20, "formed": True}
    arguments = argparse.Namespace(
        fabs=["dose"], cases=[1], out=out, work=tmp_path / "none", **sizes
    )
    assert bench_trust.collected(arguments) == [row("dose", 0.89)]
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_tiny_fab_has_a_row(tmp_path: Path) -> None:
    found = bench_trust.measure(bench_trust.World(tmp_path, "dose", 60, 40, 10, True), 1)
    assert json.loads(json.dumps(found)) == found
    assert 0 < found["rmse"] < 20
    assert found["rmse"] <= 1.1 * min(found["retrieval"], found["regression"])
    assert all(0.5 < found["coverage"][zone] <= 1 for zone in ZONES[1:])
    assert np.isfinite(list(found["over_oracle"].values())).all()
