"""Cases as data: their table, and a whole run on one, two and six of them."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import semtf
from semtf import extension, pipeline
from semtf.cases import (
    CASES_FILE,
    CHALLENGE,
    Case,
    Cases,
    case_numbers,
    cases_json,
    find_case,
    parse_cases,
)
from semtf.config import RunConfig
from semtf.data.dataset import open_dataset
from semtf.data.image_folder import open_images
from semtf.errors import InputError
from semtf.evaluation.rmse import evaluate
from semtf.presets import preset
from semtf.report.page import write_report
from semtf.simulation.jobs import field_margin
from semtf.simulation.world import simulate

SIX = tuple(
    Case(number, plate, f"plate{plate}", f"level-{plate}")
    for number, plate in enumerate((60, 90, 120, 200, 230, 255), 1)
)
TWO = (Case(7, 180, "Deep", "Fab_A"), Case(3, 110, "Shallow", "Fab_A_2"))
ONE = (Case(1, 140, "Case_1", "Depth_110"),)


def test_the_challenges_cases() -> None:
    assert case_numbers(CHALLENGE) == (1, 2, 3, 4)
    assert [case.plate for case in CHALLENGE] == [140, 150, 160, 170]
    assert [case.simulator for case in CHALLENGE] == ["Case_1", "Case_2", "Case_3", "Case_4"]
    fabs = ["Depth_110", "Depth_120", "Depth_130", "Depth_140"]
    assert [case.fab for case in CHALLENGE] == fabs
    assert [field_margin(case) for case in CHALLENGE] == [750, 1100, 1450, 1800]
    with pytest.raises(InputError, match="case 5: there is no such case; the cases are 1, 2, 3, 4"):
        find_case(CHALLENGE, 5)


@pytest.mark.parametrize("cases", [CHALLENGE, SIX, TWO, ONE])
def test_a_table_is_read_as_it_was_written(cases: Cases) -> None:
    assert parse_cases(cases_json(cases), "cases.json") == cases
    config = dataclasses.replace(preset("quick"), cases=cases)
    assert RunConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("{}", "expected a list of cases"),
        ("[]", "at least one case"),
        ("[1]", "entry 1: expected an object with the keys case, plate, simulator, fab"),
        ('[{"case": 1, "plate": 140, "simulator": "a"}]', "expected an object with the keys"),
        ('[{"case": "1", "plate": 140, "simulator": "a", "fab": "b"}]', "must be a whole number"),
        ('[{"case": true, "plate": 140, "simulator": "a", "fab": "b"}]', "must be a whole number"),
        ('[{"case": 1, "plate": 140, "simulator": 3, "fab": "b"}]', "simulator 3 must be text"),
        ('[{"case": 0, "plate": 140, "simulator": "a", "fab": "b"}]', "begin at 1"),
        ('[{"case": 1, "plate": 0, "simulator": "a", "fab": "b"}]', "plate 0 must lie from 1"),
        ('[{"case": 1, "plate": 256, "simulator": "a", "fab": "b"}]', "plate 256 must lie from 1"),
        ('[{"case": 1, "plate": 9, "simulator": "../a", "fab": "b"}]', "name of one folder"),
        ('[{"case": 1, "plate": 9, "simulator": "a", "fab": ".."}]', "name of one folder"),
    ],
)
def test_a_table_that_contradicts_itself(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        parse_cases(text, "cases.json")
    assert str(error.value).startswith("cases.json")


@pytest.mark.parametrize("field", ["case", "simulator", "fab"])
def test_what_two_cases_must_not_share(field: str) -> None:
    other = dataclasses.replace(TWO[1], **{field: getattr(TWO[0], field)})
    with pytest.raises(InputError, match=f"{field} .* is given twice"):
        parse_cases(cases_json((TWO[0], other)), "cases.json")


@pytest.fixture(scope="module", params=[ONE, TWO, SIX], ids=["one", "two", "six"])
def cases(request: pytest.FixtureRequest) -> Cases:
    table: Cases = request.param
    return table


@pytest.fixture(scope="module")
def data(cases: Cases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "data"
    return simulate(root, pairs=8, train=60, test=4, seed=1, target_keys=True, cases=cases)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> semtf.Run:
    config = preset("quick").with_settings(
        {"adaptation.adapter": "moment", "classification.backbone": "statistics"}
    )
    return pipeline.train(data, run=tmp_path_factory.mktemp("run") / "run", config=config)


def test_a_data_set_brings_its_own_cases(data: Path, cases: Cases) -> None:
    assert parse_cases((data / CASES_FILE).read_text(), CASES_FILE) == cases
    dataset = open_dataset(data)
    assert (dataset.table, dataset.cases) == (cases, case_numbers(cases))
    for case in cases:
        assert dataset.case(case.case) == case
        assert (dataset.simulator(case.case).depth.max(axis=(1, 2)) == case.plate).all()
        depths = dataset.site_depths(case.case)
        assert np.isfinite(depths).all()
        assert depths.max() < case.plate
    with pytest.raises(InputError, match=r"average_depth\.csv, line 2: expected a site of"):
        read_with_unknown_site(data)


def read_with_unknown_site(data: Path) -> None:
    from semtf.data.average_depth import read_average_depth
    from semtf.data.file_source import open_source

    copy = data.parent / "unknown"
    (copy / "train").mkdir(parents=True, exist_ok=True)
    (copy / "train/average_depth.csv").write_text("0,1\ndepth_115_site_00000,99.5\n")
    source = open_source(copy)
    read_average_depth(source, source.find("train/average_depth.csv"), open_dataset(data).table)


def test_a_run_knows_its_cases(run: semtf.Run, cases: Cases, data: Path, tmp_path: Path) -> None:
    numbers = case_numbers(cases)
    assert run.config.cases == semtf.Run.open(run.path).config.cases == cases
    assert run.cases == numbers
    result = semtf.load(run.path, index="exact").predict(open_dataset(data).test().images)
    assert set(result.case.tolist()) <= set(numbers)
    plates = {case.case: case.plate for case in cases}
    certain = [not flags for flags in result.flags]
    for depth, case in zip(result.depth[certain], result.case[certain], strict=True):
        assert depth.max() == pytest.approx(plates[int(case)], abs=1e-3)
    write_report(run, open_dataset(data), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(f"ase {number}" in page for number in numbers)


def test_an_export_knows_its_cases(run: semtf.Run, cases: Cases, tmp_path: Path) -> None:
    # The check of an export takes long; one of the tables is enough for it.
    check = cases == TWO
    found = semtf.export(run.path, tmp_path / "semtf/1", index="exact", check=check)
    assert (found is not None) == check
    note = json.loads((tmp_path / "semtf/1/semtf.json").read_text())
    assert note["cases"] == list(case_numbers(cases))


def test_the_cases_of_test_images_are_told(data: Path, cases: Cases, tmp_path: Path) -> None:
    with (data / "truth/cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = case_numbers(cases)
    assert sorted(int(row["case"]) for row in rows) == sorted([*numbers] * 4)
    score = evaluate(data / "truth/Depth", data / "truth/Depth", data / "truth/cases.csv")
    assert set(score.rmse_by_case) == set(numbers)
    assert score.rmse == 0


def test_a_run_keeps_its_cases(run: semtf.Run, fab: Path, cases: Cases) -> None:
    with pytest.raises(InputError, match="was made with other cases"):
        extension.add_pairs(run.path, fab)
    with pytest.raises(InputError, match="--case 9: choose"):
        pipeline.train(fab, 9, run=run.path.parent / "new")
    with pytest.raises(InputError, match="case 9: there is no such case"):
        pipeline.train(fab, 1, run=run.path.parent / "new", fab={9: fab})
    assert not (run.path.parent / "new").exists()


def test_a_plate_must_lie_above_the_floor(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="plate 30; the floor of every hole is 30"):
        simulate(tmp_path / "out", cases=(Case(1, 30, "a", "b"),))
    assert not (tmp_path / "out").exists()


def test_sizes_are_those_of_the_first_image(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("0.png", "1.png"):
        for folder in ("predictions", "truth"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.full((64, 40), 9, np.uint8)).save(tmp_path / folder / name)
    assert open_images(tmp_path / "truth").images.shape == (2, 64, 40)
    assert evaluate(tmp_path / "predictions", tmp_path / "truth").rmse == 0
    Image.fromarray(np.full((72, 48), 9, np.uint8)).save(tmp_path / "predictions/1.png")
    with pytest.raises(InputError, match=r"1\.png: .*64"):
        evaluate(tmp_path / "predictions", tmp_path / "truth")
