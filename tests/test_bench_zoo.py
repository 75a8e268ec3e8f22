"""The benchmark on the zoo of fabs, on a tiny fab and with a small network."""

import json

import bench_zoo
import numpy as np
import pytest
import trust_rows
import zoo_tables

from semtf.config import RunConfig
from semtf.presets import preset


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bench_zoo.Fab:
    return bench_zoo.Fab(tmp_path_factory.mktemp("zoo"), 4, (1, 2), 30, 30, 6, False)


@pytest.fixture(scope="module")
def rows(tiny: bench_zoo.Fab, small_config: RunConfig) -> list[dict]:
    return bench_zoo.measure(tiny, small_config)


@pytest.fixture(scope="module")
def cheap_rows(tiny: bench_zoo.Fab) -> list[dict]:
    return bench_zoo.measure_cheap(tiny._replace(cheap=True, cases=(1,)))


def test_a_trained_fab_has_a_row_a_case(rows, tiny):
    assert [row["case"] for row in rows] == [1, 2]
    for row in rows:
        assert tiny.names(row["case"]).items() <= row.items()
        assert row["true"] < row["none"]
        share = (row["none"] - row["adapted"]) / (row["none"] - row["true"])
        assert row["gap_closed"] == pytest.approx(share)
        assert 0 < row["default"] <= 60
        assert 0 < row["decided"] <= 60
        assert 0 <= row["accuracy"] <= 1
        assert row["best_cheap"] in zoo_tables.CHEAP
        assert row["best_cheap_one"] == row[row["best_cheap"]]
        assert row["seconds"] > 0
        assert json.loads(json.dumps(row)) == row


def test_the_epoch_and_its_error_are_those_of_the_run(rows):
    epochs = {1: 2, 2: 1}  # first_epochs and other_epochs of the small network
    for row in rows:
        assert len(row["epochs"]) == epochs[row["case"]]
        assert row["adapted"] == pytest.approx(row["epochs"][row["epoch"] - 1], rel=1e-3)
        assert row["over_best"] == pytest.approx(row["adapted"] / min(row["epochs"]) - 1)


def test_cheap_rows_have_the_same_references(rows, cheap_rows):
    (cheap,), full = cheap_rows, rows[0]
    for name in ("true", "true_softmax", *zoo_tables.CHEAP):
        assert cheap[name] == pytest.approx(full[name])
    assert "adapted" not in cheap


def made(seed: int, **values: float) -> dict:
    """A row of a trained fab with the numbers that matter."""
    words = {"structures": f"Holes of fab {seed}; round.", "fab": "Hazy."}
    return {
        "seed": seed,
        "case": 1,
        "none": 10.0,
        "true": 4.0,
        "adapted": 4.6,
        "gap_closed": 0.9,
        "true_softmax": 3.0,
        "default": 3.0,
        "decided": 3.1,
        "best_cheap": "moment",
        "best_cheap_one": 5.0,
        "best_cheap_default": 4.0,
        "epoch": 3,
        "over_best": 0.01,
        "percentile": 8.2,
        "moment": 5.2,
        "accuracy": 0.99,
        "seconds": 100.0,
        "words": words,
        "trust": {
            "coverage": {"plate": 0.9, "wall": 0.85, "floor": 0.92},
            "over_oracle": {"plate": 1.0, "wall": 0.95, "floor": 1.1},
            "certain_right": 0.999,
        },
        "doubtful": {"images": 3, "covered": 0.88},
        "measures": dict.fromkeys(trust_rows.MEASURES, 0.95),
        **values,
    }


def test_the_summary_has_medians_and_the_worst_fab_in_words():
    rows = [made(0), made(1, gap_closed=0.4, default=4.2), made(2, gap_closed=0.8)]
    text = zoo_tables.full_table(rows)
    assert "| gap closed, K = 1 | 80.0% | 40.0% | 1, 1 |" in text
    assert "| default over true keys' softmax of 8 | +0.0% | +40.0% | 1, 1 |" in text
    assert "| default over best cheap adapter's | -25.0% | +5.0% | 1, 1 |" in text
    assert "Fab 1:\n- structures: Holes of fab 1; round.\n- fab: Hazy." in text
    assert "Fab 2:" not in text


def test_the_table_says_how_far_sigma_holds():
    sure = made(1, doubtful={"images": 0, "covered": None})
    text = zoo_tables.full_table([made(0), sure])
    shares = " | ".join(["95%"] * len(trust_rows.MEASURES))
    zones = "90.0% | 85.0% | 92.0% | 1.00, 0.95, 1.10 | 99.9%"
    assert f"| 0 | 1 | {zones} | 3, 88% | {shares} |" in text
    assert f"| 1 | 1 | {zones} | 0 | {shares} |" in text
    assert "plate 90.0% (90.0% to 90.0%); wall 85.0%" in text


def test_a_run_without_epochs_has_no_measure_of_them():
    text = zoo_tables.full_table([made(0, over_best=None, epoch=None)])
    assert "chosen epoch over best" not in text


def test_the_cheap_table_says_which_adapters_fail():
    rows = [made(0), made(1, moment=9.0), made(2, percentile=4.1)]
    text = zoo_tables.cheap_table(rows)
    assert "| 80% |" in text
    assert "`moment` closes 80% in the median and 17% at worst" in text
    assert "`percentile` closes 30% in the median" in text
    assert "well (over 90%) in 1 of 3 and fails (below 75%) in 2" in text


def test_finished_rows_are_not_measured_again(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(function: object, fab: bench_zoo.Fab, *_: object) -> list[dict]:
        measured.append(fab.seed)
        return [made(fab.seed) | fab.names(case) for case in fab.cases]

    monkeypatch.setattr(bench_zoo, "run_isolated", measure)
    given = ["--out", str(tmp_path / "rows.jsonl"), "--work", str(tmp_path), "--seeds"]
    first = bench_zoo.collected(bench_zoo.parsed([*given, "0", "1"]), preset("quick"))
    again = bench_zoo.collected(bench_zoo.parsed([*given, "0", "1", "2"]), preset("quick"))
    assert measured == [0, 1, 2]
    assert len(first) == 4
    assert again[:4] == first
    bench_zoo.collected(bench_zoo.parsed([*given, "1", "--pairs", "90"]), preset("quick"))
    bench_zoo.collected(bench_zoo.parsed([*given, "1", "--cheap"]), preset("quick"))
    for _ in range(2):
        settings = ["--set", "adaptation.decay=0.1"]
        bench_zoo.collected(bench_zoo.parsed([*given, "1", *settings]), preset("quick"))
    bench_zoo.collected(bench_zoo.parsed([*given, "1"]), preset("quick"))
    assert measured == [0, 1, 2, 1, 1, 1]
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(capsys.readouterr().err.splitlines()) == 11


def test_default_cases_are_fewer_without_training():
    assert bench_zoo.parsed([]).cases == [1, 2]
    assert bench_zoo.parsed(["--cheap"]).cases == [1]
    assert np.all(np.array(bench_zoo.parsed([]).seeds) < 100)
