"""The table of statistics, the command that prints it, and the full-size data set."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from semtf.cli.simulate import command
from semtf.config import CASES
from semtf.errors import InputError
from semtf.simulation import calibration_report

STEADY = ["mean", "std", "plate share", "mean |dx|", "mean |dy|", "noise |itr0 - itr1|"]
"""Statistics that a small data set already has."""


def invoke(out: Path, *options: str):
    return CliRunner().invoke(command, [str(out), *options], catch_exceptions=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("small") / "data"
    options = ["--pairs", "60", "--train", "60", "--test", "2", "--report", "--json"]
    return json.loads(invoke(out, *options).stdout)


def test_the_json_summary_has_the_counts(small):
    assert (small["pairs"], small["train"], small["test"], small["fab"]) == (60, 60, 2, "struct")


def test_a_small_data_set_has_the_published_statistics(small):
    rows = [r for r in small["report"] if r["quantity"] in STEADY and r["target"] is not None]
    found = [row for row in rows if row["domain"] != "average depth"]
    assert len(found) == 8 + 4 + 8 + 8 + 5
    assert [row for row in found if not row["inside"]] == []


def test_every_image_has_the_maximum_212(small):
    rows = [row for row in small["report"] if row["quantity"] == "images with maximum 212"]
    assert [row["achieved"] for row in rows] == [1.0] * 8


def test_the_table_has_every_percentile_of_every_case_and_domain(small):
    found = {(row["domain"], row["case"], row["quantity"]) for row in small["report"]}
    for domain in ("depth", "simulator", "fab"):
        for case in CASES:
            for percentile in (0, 20, 40, 47, 50, 60, 80):
                assert (domain, str(case), f"percentile {percentile}") in found
    assert set(calibration_report.TARGETS) <= found


def test_a_row_is_outside_exactly_beyond_its_tolerance(small):
    for row in small["report"]:
        if row["target"] is None:
            assert row["inside"] is None
        else:
            beyond = abs(row["achieved"] - row["target"]) > row["tolerance"]
            assert row["inside"] is not beyond


def test_statistics_of_images_by_hand():
    images = np.array([[[0, 212], [100, 100]], [[10, 10], [10, 200]]], np.uint8)
    found = calibration_report.sem_statistics(images)
    assert found["mean"] == pytest.approx(images.mean())
    assert found["std"] == pytest.approx((images[0].std() + images[1].std()) / 2)
    assert found["mean |dx|"] == pytest.approx((212 + 0 + 0 + 190) / 4)
    assert found["mean |dy|"] == pytest.approx((100 + 112 + 0 + 190) / 4)
    assert found["images with maximum 212"] == 0.5
    assert found["percentile 0"] == 0
    assert found["percentile 50"] == pytest.approx(np.median(images))


def test_statistics_of_depth_maps_by_hand():
    depth = np.array([[[140, 140], [41, 42]], [[140, 30], [20, 139]]], np.uint8)
    found = calibration_report.depth_statistics(depth, 1)
    assert found == {"plate share": 3 / 8, "floor share": 3 / 8, "minimum": (41 + 20) / 2}


def test_the_command_prints_one_line_without_a_report(tmp_path):
    options = ["--pairs", "2", "--train", "3", "--test", "1", "--fab", "dose"]
    result = invoke(tmp_path / "out", *options)
    expected = f"{tmp_path / 'out'}: 2 pairs, 3 fab and 1 test images a case (dose fab)\n"
    assert result.stdout == expected


def test_a_report_needs_pairs_and_fab_images(tmp_path):
    with pytest.raises(InputError, match="--report"):
        invoke(tmp_path / "out", "--train", "0", "--report")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_full_size_has_every_row_inside_its_tolerance(tmp_path, seed):
    result = invoke(tmp_path / "out", "--seed", str(seed), "--report", "--json")
    rows = [row for row in json.loads(result.stdout)["report"] if row["target"] is not None]
    assert len(rows) == len(calibration_report.TARGETS)
    assert [row for row in rows if not row["inside"]] == []
