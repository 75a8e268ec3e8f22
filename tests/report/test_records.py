"""What a run was used for is kept and shown in its report."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from semtf.cli import main
from semtf.errors import InputError
from semtf.lock import lock_folder
from semtf.pages.page import render_part
from semtf.report.page import write_report
from semtf.report.records import KEPT, Prediction, Records, record
from semtf.run import RECORDS, REPORT, Run

PREDICTION = Prediction(
    images="<b>lot</b>",
    count=6,
    cases={1: 4, 3: 2},
    sigma=1.5,
    flagged=1,
    flags={"unlike_storage": 1},
)


@pytest.fixture
def reported(run: Run, tmp_path: Path) -> Run:
    """A run of its own with a page that has nothing but the part of the records."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_bytes((run.path / "config.json").read_bytes())
    (folder / REPORT).write_text("before\n<!-- records -->\nold\n<!-- end of records -->\nafter\n")
    return Run.open(folder)


def test_a_record_is_kept_and_shown(reported: Run) -> None:
    record(reported, PREDICTION)
    (kept,) = Records.of(reported).predictions
    assert kept.flags == {"unlike_storage": 1}
    page = (reported.path / REPORT).read_text()
    assert re.match(
        r"before\n<!-- records -->\n.*<!-- end of records -->\nafter\n$", page, re.DOTALL
    )
    assert "old" not in page
    assert "&lt;b&gt;lot" in page
    assert "4 of case 1, 2 of case 3" in page
    assert "1: 1 unlike_storage" in page


def test_without_records_the_part_says_what_adds_them(reported: Run) -> None:
    part = render_part("semtf.report", "records.html", records=Records.of(reported))
    assert "Nothing yet" in part
    assert "semtf predict" in part


def test_the_newest_are_kept_and_come_first(reported: Run) -> None:
    for count in range(KEPT + 2):
        record(reported, dataclasses.replace(PREDICTION, count=count))
    counts = [entry.count for entry in Records.of(reported).predictions]
    assert counts == list(range(KEPT + 1, 1, -1))


def test_a_run_without_a_report_stays_as_it_is(reported: Run) -> None:
    (reported.path / REPORT).unlink()
    record(reported, PREDICTION)
    assert [path.name for path in reported.path.iterdir()] == ["config.json"]


def test_what_hinders_a_record_is_a_warning(
    reported: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_folder(reported.path, "is being trained"):
        record(reported, PREDICTION)
    assert "the report of the run is not refreshed" in capsys.readouterr().err
    (reported.path / RECORDS).write_text("[")
    record(reported, PREDICTION)
    assert f"{RECORDS}: cannot be read" in capsys.readouterr().err
    lacking = {"predictions": [{"made": "now"}], "evaluations": [], "benchmarks": []}
    for broken in ("[", "[]", json.dumps(lacking)):
        (reported.path / RECORDS).write_text(broken)
        with pytest.raises(InputError, match=r"records\.json: cannot be read .*; delete it"):
            Records.of(reported)


def test_the_commands_refresh_the_report(run: Run, fab: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    known = Records().with_newest(PREDICTION)
    (copy / RECORDS).write_text(json.dumps(dataclasses.asdict(known)))
    write_report(copy, fab)
    page = copy / REPORT
    assert "4 of case 1, 2 of case 3" in page.read_text()
    out, images, truth = tmp_path / "out", fab / "test/SEM", fab / "truth/Depth"
    for words in (
        ["predict", "--run", copy, "--images", images, "--out", out, "--arrays"],
        ["evaluate", "--predictions", out, "--truth", truth, "--sigma", "--run", copy],
        ["benchmark", "--data", fab, "--run", copy, "--methods", "none/nearest"],
    ):
        with pytest.raises(SystemExit) as stop:
            main.run(list(map(str, words)))
        assert not stop.value.code
    records = json.loads((copy / RECORDS).read_text())
    assert records["predictions"][0]["count"] == records["evaluations"][0]["count"]
    assert 0 < records["evaluations"][0]["coverage"] <= 1
    text = page.read_text()
    assert f"{records['evaluations'][0]['rmse']:.2f}" in text
    assert str(images) in text
    head, (row,) = (records["benchmarks"][0][name] for name in ("head", "rows"))
    assert head[:6] == ["method", "rmse", "case 1", "case 2", "case 3", "case 4"]
    assert row[0] == "no adaptation, nearest"
    assert f"<td>{row[1]}</td>" in text
    assert "4 of case 1, 2 of case 3" in text
