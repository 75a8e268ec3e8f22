"""The page of a run: words, figures, errors where the truth is known."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semtf.adaptation.schedule import REASONS
from semtf.data.dataset import Dataset, open_dataset
from semtf.evaluation.coverage import Judged, coverage_table
from semtf.report import training
from semtf.report.evidence import Evidence, error_maps, examine, table, zones
from semtf.report.page import write_report
from semtf.report.summary import changed_settings, doubts, how_good
from semtf.run import Run


@pytest.fixture(scope="module")
def evidence(run: Run, fab: Path) -> Evidence:
    return examine(run, open_dataset(fab))


def test_errors_are_those_of_the_test_images(evidence: Evidence, fab: Path) -> None:
    errors = evidence.errors()
    assert errors is not None
    assert evidence.truth is not None
    assert evidence.score is not None
    assert evidence.kind == "test images"
    assert evidence.rmse == pytest.approx(np.sqrt(np.mean(errors**2)))
    shown = evidence.shown()
    by_image = np.square(errors).mean(axis=(1, 2))
    assert len(set(shown.tolist())) == 12
    assert by_image[shown[:4]].max() <= by_image[shown[4:8]].min()
    assert by_image[shown[8:]].min() >= by_image[shown[4:8]].max()
    rows = table(evidence)
    assert {row[0] for row in rows} <= {path.name for path in (fab / "test/SEM").iterdir()}
    assert float(rows[-1][5]) == pytest.approx(np.sqrt(by_image.max()), rel=0.01)
    assert f"RMSE {evidence.rmse:.2f}" in how_good(evidence, [])


def test_without_the_truth_it_says_so(run: Run, fab: Path) -> None:
    opened = open_dataset(fab, cases=[1])
    simulator, images = opened.simulator(1), opened.fab(1)
    arrays = Dataset.from_arrays(
        {1: simulator.sem}, {1: simulator.depth}, {1: images.images}, test=opened.test().images[:3]
    )
    found = examine(run, arrays)
    assert found.rmse is None
    assert found.coverage is None
    assert len(found.shown()) == 3
    assert "1.50 to 2.25 grey levels" in how_good(found, [1.5, 2.25])


def test_the_page_tells_all_and_needs_no_other_file(run: Run, fab: Path, tmp_path: Path) -> None:
    write_report(run, open_dataset(fab), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<svg") == 5 + 3 * 4
    assert page.count('class="chosen"') == 4
    for word in (
        "Held-out sites",
        "What to doubt",
        "Confusion",
        "adaptation.width",
        "tensorflow",
        "case-4",
        "together",
    ):
        assert word in page
    write_report(run, open_dataset(fab), tmp_path / "report.html")


def test_the_numbers_of_the_error_maps_are_in_their_file(evidence: Evidence) -> None:
    drawn, errors = error_maps(evidence), evidence.errors()
    assert drawn is not None
    assert errors is not None
    table = pd.read_csv(io.BytesIO(base64.b64decode(drawn.csv.partition(",")[2])))
    for case, rows in table.groupby("case"):
        chosen = errors[evidence.result.case == case]
        expected = np.sqrt(np.square(chosen).mean(axis=0))
        np.testing.assert_allclose(rows.drop(columns=["case", "row"]), expected, rtol=1e-4)


def test_the_coverage_is_that_of_the_evaluation(evidence: Evidence) -> None:
    assert evidence.truth is not None
    judged = Judged(evidence.result.depth, evidence.result.sigma, evidence.truth)
    table = coverage_table(judged)
    whole = (table["coverage"] * table["pixels"]).sum()
    assert evidence.coverage == pytest.approx(whole, abs=1e-6)
    assert [row[:2] for row in zones(evidence)] == [
        [row.zone, f"{100 * row.coverage:.1f} %"] for row in table.itertuples()
    ]


def test_the_seconds_of_the_stages_are_told(run: Run) -> None:
    rows = training.seconds(run)
    names = [name for name, _ in rows]
    stages = ["adapter of case {}", "storage, index and calibration of case {}"]
    expected = [stage.format(case) for case in run.cases for stage in stages]
    assert names == [*expected, "classifier", "together"]
    assert all(taken.endswith((" s", " min")) for _, taken in rows)


def test_settings_that_differ_from_the_preset_are_listed(run: Run) -> None:
    changed = {name: (before, after) for name, before, after in changed_settings(run)}
    assert changed["adaptation.width"] == ("16", "4")
    assert "retrieval.neighbours" not in changed


def test_doubts_follow_the_numbers(evidence: Evidence) -> None:
    rows = [{"chosen": False}, {"chosen": True}]
    criteria = [{"case": 2, "rows": rows, "stopped": ""}]
    found = " ".join(doubts(evidence, {"metrics": {"accuracy": 0.5}}, criteria))
    assert "50.0%" in found
    assert "Case 2: the last epoch was the best" in found
    ended = [{**criteria[0], "ended": reason} for reason in REASONS]
    said = ["last epoch" in " ".join(doubts(evidence, {"metrics": {}}, [table])) for table in ended]
    assert dict(zip(REASONS, said, strict=True)) == {
        "": True,
        "the criterion gains no more than its noise": False,
        "the criterion gains too little for the time": False,
        "the cap on epochs is near": True,
        "the time is up": True,
    }
    warned = [{**criteria[0], "warnings": ["the holes move"]}]
    assert "Case 2: the holes move." in doubts(evidence, {"metrics": {}}, warned)
    criteria = [{"case": 3, "rows": rows[::-1], "stopped": "loss"}]
    found = " ".join(doubts(evidence, {"metrics": {"accuracy": 1.0}}, criteria))
    assert "classifier" not in found
    assert "Case 3: no epoch was better" in found
    assert "training stopped, loss" in found
