"""The analysis of a data set: numbers, findings, page and command."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

import semtf
from semtf.analysis.analysis import Analysis
from semtf.analysis.findings import find, judge
from semtf.cli import main
from semtf.data.dataset import open_dataset
from semtf.errors import InputError


@pytest.fixture(scope="module")
def analysis(fab: Path, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of a copy of the data set with a stray file, a copied image and images that are no PNG."""
    copy = Path(shutil.copytree(fab, tmp_path_factory.mktemp("copy") / "data"))
    site = next((copy / "train/SEM/Depth_110").iterdir())
    first = sorted(site.iterdir())[0]
    shutil.copy(first, site / "SEM_999999.png")
    (site / "broken.png").write_bytes(b"no image")
    (site / ".ipynb_checkpoints").mkdir()
    shutil.copy(first, site / ".ipynb_checkpoints/SEM-checkpoint.png")
    return semtf.analyze(copy)


def test_the_numbers_are_those_of_the_data(analysis: Analysis, fab: Path) -> None:
    found = json.loads(analysis.to_json())
    dataset = open_dataset(fab)
    pairs = dataset.simulator(2)
    assert found["files"] == {
        "rows": 72,
        "columns": 48,
        "recurring": 1.0,
        "test": 24,
        "left_out": 1,
        "stray": 1,
        "shared": 0,
    }
    assert found["counts"]["1"]["duplicate_fab"] == 1
    assert found["counts"]["2"]["duplicate_fab"] == 0
    assert found["counts"]["2"]["pairs"] == len(pairs)
    assert 0.4 < found["counts"]["2"]["rgb"] < 0.9
    difference = np.abs(pairs.sem[:, 0].astype(int) - pairs.sem[:, 1]).mean()
    assert found["noise"]["2"]["difference"] == pytest.approx(difference)
    law = found["depth_law"]["3"]
    assert (law["plate"], round(law["floor"])) == (160, 30)
    assert law["residual"] < 0.3
    assert found["plate"]["4"]["all_plate"] == 1
    assert found["maxima_fab"]["1"]["share"] == 1
    assert set(found["margin"]) <= {"1", "2", "3", "4"}
    assert [d["percentile"] for d in found["distances"]["1"]] == [0, 20, 40, 47, 50, 60, 80, 100]


def test_the_page_needs_no_other_file(analysis: Analysis, tmp_path: Path) -> None:
    page = analysis.save(tmp_path / "analysis.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<svg") == 14
    assert "#010203" not in page
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    for finding in analysis.findings:
        assert escape(finding.remedy) in page
    with pytest.raises(InputError, match=r"\.html"):
        analysis.save(tmp_path / "analysis.txt")
    (tmp_path / "mine.html").write_text("<p>mine")
    with pytest.raises(InputError, match="another kind of file"):
        analysis.save(tmp_path / "mine.html")
    assert "In short" in analysis._repr_html_()
    assert len(repr(analysis)) < 200


def test_what_is_unlike_is_named_with_a_remedy(analysis: Analysis) -> None:
    numbers = analysis.numbers
    assert {"sites", "amount", "duplicates"} <= {finding.topic for finding in analysis.findings}
    changed = {}
    for case, found in numbers.cases.items():
        geometry = dataclasses.replace(
            found.geometry,
            magnification=1.3,
            rows_shift=3.0,
            fab_polarity=-0.9,
            simulator_polarity=-0.8,
            case_apart=0.6,
        )
        maxima = dataclasses.replace(found.maxima_fab, most_common=255)
        plate = dataclasses.replace(found.plate, depth=99.0)
        law = dataclasses.replace(found.depth_law, residual=4.0)
        count = dataclasses.replace(found.counts, averages=0)
        changed[case] = dataclasses.replace(
            found, geometry=geometry, maxima_fab=maxima, plate=plate, depth_law=law, counts=count
        )
    files = dataclasses.replace(numbers.files, rows=64, recurring=0.2)
    findings = find(dataclasses.replace(numbers, files=files, cases=changed))
    assert {finding.topic for finding in findings} == {
        "polarity",
        "size",
        "sites",
        "amount",
        "bases",
        "duplicates",
        "averages",
        "magnification",
        "shift",
        "cases",
        "maximum",
        "plate",
        "depth law",
    }
    assert all(len(finding.remedy) > 30 for finding in findings)


@pytest.mark.parametrize(
    ("own", "of_fab", "curved", "level"),
    [
        (0.018, 0.012, 0.011, "none"),
        (0.018, 0.014, 0.009, "grey curve"),
        (0.018, 0.04, 0.02, "grey curve"),
        (0.018, 0.028, 0.031, "trained"),
        (0.018, 0.06, 0.04, "trained"),
    ],
)
def test_difficulty_follows_what_a_curve_leaves(
    analysis: Analysis, own: float, of_fab: float, curved: float, level: str
) -> None:
    found = analysis.numbers.cases[1]
    mismatch = dataclasses.replace(found.mismatch, own=own, fab=of_fab, after_curve=curved)
    share = max(0.0, 1 - curved / of_fab)
    curve = dataclasses.replace(found.grey_curve, mismatch=share)
    case = dataclasses.replace(found, mismatch=mismatch, grey_curve=curve)
    assert judge({1: case}).level == level


def test_the_command_writes_page_and_json(
    fab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_case = tmp_path / "data"
    for part in ("SEM", "Depth"):
        shutil.copytree(
            fab / f"simulation_data/{part}/Case_1", one_case / f"simulation_data/{part}/Case_1"
        )
    images = next((fab / "train/SEM/Depth_110").iterdir())
    out, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    arguments = ["--data", one_case, "--fab", f"1={images}", "--out", out, "--json", numbers]
    with pytest.raises(SystemExit) as stop:
        main.run(["analyze", *map(str, arguments)])
    assert not stop.value.code, capsys.readouterr().err
    found = json.loads(numbers.read_text())
    assert found["counts"]["1"]["rgb"] is None
    assert found["margin"] == {}
    assert found["depth_law"]["1"]["residual"] is None
    assert "Unknown: no site" in out.read_text()
    with pytest.raises(SystemExit) as stop:
        main.run(["analyze", "--data", str(one_case), "--out", str(tmp_path / "page.pdf")])
    assert stop.value.code == 2


def test_arrays_are_analysed_like_files(fab: Path) -> None:
    opened = open_dataset(fab, cases=[1])
    simulator, images = opened.simulator(1), opened.fab(1)
    dataset = semtf.Dataset.from_arrays(
        {1: simulator.sem},
        {1: simulator.depth},
        {1: images.images},
        bases={1: simulator.bases.tolist()},
        sites={1: images.sites.tolist()},
    )
    of_arrays, of_files = semtf.analyze(dataset), semtf.analyze(opened)
    assert of_arrays.to_dict()["noise"] == of_files.to_dict()["noise"]
    assert of_arrays.to_dict()["distances"] == of_files.to_dict()["distances"]
    with pytest.raises(InputError, match="open already"):
        semtf.analyze(dataset, fab={1: "images"})
