"""The commands as a user types them: outputs, exit codes and one-line errors."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semtf.cli import main
from semtf.errors import InputError
from semtf.run import Run


class Done:
    """Exit code and output of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def error(self) -> str:
        """The one line that an error must be."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return lines[0]


@pytest.fixture
def semtf(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: str | Path) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def copy(fab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the data set that a test may spoil and must mend."""
    return Path(shutil.copytree(fab, tmp_path_factory.mktemp("copy") / "data"))


def test_predict_and_evaluate(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    done = semtf("predict", "--run", run.path, "--images", fab / "test/SEM", "--out", tmp_path)
    assert done.code == 0, done.err
    names = sorted(p.name for p in (fab / "test/SEM").iterdir())
    assert sorted(p.name for p in tmp_path.glob("*.png")) == names
    for name in names:
        image = Image.open(tmp_path / name)
        assert (image.mode, image.size) == ("L", (48, 72))
    arguments = ("--predictions", tmp_path, "--truth", fab / "truth/Depth")
    done = semtf("evaluate", *arguments, "--cases", fab / "truth/cases.csv", "--json")
    found = json.loads(done.out)
    assert set(found) == {"rmse", "rmse_by_case", "images"}
    assert found["images"] == len(names)
    assert set(found["rmse_by_case"]) == {"1", "2", "3", "4"}
    squares = [value**2 for value in found["rmse_by_case"].values()]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(squares)))
    assert "RMSE" in semtf("evaluate", *arguments).out


def test_sites_vote_and_cases_are_judged(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    names = sorted(p.name for p in (fab / "test/SEM").iterdir())
    sites = tmp_path / "sites.csv"
    sites.write_text("name,site\n" + "".join(f"{n},s{i // 6}\n" for i, n in enumerate(names)))
    predict = ("predict", "--run", run.path, "--images", fab / "test/SEM", "--out", tmp_path / "p")
    done = semtf(*predict, "--sites", sites)
    assert done.code == 0, done.err
    rows = (tmp_path / "p/predictions.csv").read_text().splitlines()[1:]
    for site in range(4):
        votes = {tuple(row.split(",")[1:3]) for row in rows[6 * site : 6 * site + 6]}
        assert len(votes) == 1
    evaluate = (
        "evaluate", "--predictions", tmp_path / "p", "--truth", fab / "truth/Depth",
        "--table", tmp_path / "p/predictions.csv", "--sites", sites,
    )  # fmt: skip
    assert "--cases" in semtf(*evaluate).error
    done = semtf(*evaluate, "--cases", fab / "truth/cases.csv", "--json")
    judged = json.loads(done.out)["classification"]
    counts = [count for row in judged["confusion"].values() for count in row.values()]
    assert sum(counts) == 24
    for i, name in enumerate(names):
        for kind, source in (("in", fab / "test/SEM"), ("truth", fab / "truth/Depth")):
            target = tmp_path / kind / f"s{i // 6}" / f"{i % 6}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target)
    folders = ("predict", "--run", run.path, "--images", tmp_path / "in", "--out", tmp_path / "f")
    assert semtf(*folders).code == 0
    table = (tmp_path / "f/predictions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in table][:2] == ["s0/0.png", "s0/1.png"]
    assert [row.split(",", 1)[1] for row in table] == [row.split(",", 1)[1] for row in rows]
    done = semtf(
        "evaluate", "--predictions", tmp_path / "f", "--truth", tmp_path / "truth", "--json"
    )  # fmt: skip
    assert json.loads(done.out)["images"] == 24
    sites.write_text("name,place\n")
    assert "name and site" in semtf(*predict, "--sites", sites).error


def test_neighbours_vote(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    predict = ("predict", "--run", run.path, "--images", fab / "test/SEM", "--out")
    assert semtf(*predict, tmp_path / "a").code == 0
    done = semtf(*predict, tmp_path / "b", "--vote", "neighbours:9")
    assert done.code == 0, done.err
    own, voted = (
        pd.read_csv(tmp_path / name / "predictions.csv")["case"].to_numpy() for name in "ab"
    )
    for i in range(len(own)):
        counts = np.bincount(own[max(0, i - 4) : i + 5])
        assert voted[i] == (own[i] if counts[own[i]] == counts.max() else counts.argmax())
    changed = f"neighbours:9: {(own != voted).sum()} of {len(own)} images took the case"
    assert changed in done.err
    for wrong in ("neighbours", "neighbours:8", "neighbours:1", "sites:9"):
        assert "--vote" in semtf(*predict, tmp_path / "c", "--vote", wrong).error
    both = semtf(*predict, tmp_path / "c", "--vote", "neighbours:9", "--sites", tmp_path / "s.csv")
    assert "leave --vote or --sites out" in both.error


def test_predict_into_a_zip_with_other_weights(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission.zip"
    done = semtf(
        "predict", "--run", run.path, "--images", fab / "test/SEM", "--out", out,
        "--k", 2, "--weights", "uniform",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len(zipfile.ZipFile(out).namelist()) == 24
    rows = (tmp_path / "predictions.csv").read_text().splitlines()[1:]
    assert all(row.count(":0.5000") == 2 for row in rows)


def test_export_and_report(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    done = semtf("export", "--run", run.path, "--out", tmp_path / "m" / "1", "--no-verify")
    assert done.code == 0, done.err
    assert (tmp_path / "m/1/saved_model.pb").exists()
    table = tmp_path / "benchmark.csv"
    two = ("--methods", "none/nearest,mean-map", "--json")
    done = semtf("benchmark", "--run", run.path, "--data", fab, "--out", table, *two)
    assert [row["images"] for row in json.loads(done.out)] == [24] * 2
    page = tmp_path / "report.html"
    done = semtf("report", "--run", run.path, "--data", fab, "--benchmark", table, "--out", page)
    assert done.code == 0, done.err
    text = page.read_text()
    assert "no adaptation, nearest" in text
    assert text.count("<svg") == 5 + 3 * 4
    assert text.count('class="chosen"') == 4
    for case in run.cases:
        epochs = pd.read_csv(run.adaptation(case) / "criterion.csv")
        assert all(f"<td>{mismatch:.4g}</td>" in text for mismatch in epochs["mismatch"])
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_benchmark_goes_on_and_writes_a_page(semtf, run: Run, fab: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "table.csv", tmp_path / "page.html"
    command = ("benchmark", "--run", run.path, "--data", fab, "--out", table, "--page", page)
    done = semtf(*command, "--methods", "mean-map")
    assert done.code == 0, done.err
    first = (tmp_path / "table.jsonl").read_text()
    done = semtf(*command, "--methods", "mean-map,nearest-true-map", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [row["method"] for row in rows] == ["mean map", "nearest true map"]
    assert rows[1]["rmse"] < rows[0]["rmse"]
    assert (tmp_path / "table.jsonl").read_text().startswith(first)
    assert len((tmp_path / "table.jsonl").read_text().splitlines()) == 2
    assert len(pd.read_csv(table)) == 2
    assert "nearest true map" in page.read_text()


def test_benchmark_lists_methods_and_refuses_unknown_ones(semtf, fab: Path) -> None:
    done = semtf("benchmark", "--list")
    assert done.code == 0
    assert "nearest-true-map" in done.out
    assert "trains a network" in done.out
    for arguments, message in (
        (("--data", fab, "--methods", "mean-mab"), "the nearest are mean-map"),
        (("--data", fab, "--seeds", "one"), "--seeds one: write whole numbers"),
        ((), "--data: say which data set"),
    ):
        done = semtf("benchmark", *arguments)
        assert done.code == 2
        assert message in done.err


def test_train_prints_the_run(semtf, fab: Path, tmp_path: Path) -> None:
    done = semtf(
        "train", "--case", 2, "--data", fab, "--run", tmp_path / "run", "--adapter", "none",
        "--set", "classification.backbone=statistics", "--set", "classification.epochs=1", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"run": str(tmp_path / "run"), "cases": [2]}


def test_training_that_goes_wrong_says_what_to_try(semtf, fab: Path, tmp_path: Path) -> None:
    settings = {"width": 4, "batch": 2, "steps_per_epoch": 2, "learning_rate": 1e30}
    options = [
        word for name, value in settings.items() for word in ("--set", f"adaptation.{name}={value}")
    ]
    done = semtf("train", "--case", 1, "--data", fab, "--run", tmp_path / "run", *options)
    assert done.code == 1
    assert done.error.startswith("error: CycleGAN, case 1: the ")
    assert "adaptation.learning_rate" in done.error


def smaller(fab: Path, out: Path) -> Path:
    """The data set with every image cropped to 64 × 40."""
    for path in (fab / "simulation_data").rglob("*.png"):
        target = out / path.relative_to(fab)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).crop((4, 4, 44, 68)).save(target)
    return out


def test_other_sizes_and_plain_16_bit_fab_images(semtf, fab: Path, tmp_path: Path) -> None:
    data = smaller(fab, tmp_path / "data")
    images = tmp_path / "crops"
    images.mkdir()
    for i, path in enumerate(sorted((fab / "train/SEM/Depth_120").rglob("*.png"))):
        crop = np.asarray(Image.open(path).convert("L").crop((4, 4, 44, 68)), np.uint16)
        Image.fromarray(crop * 16).save(images / f"{i:03d}.{'tif' if i % 2 else 'png'}")
    run = tmp_path / "run"
    settings = (
        "adaptation.width=4",
        "adaptation.steps_per_epoch=1",
        "adaptation.first_epochs=1",
        "adaptation.warm_up_steps=0",
    )
    light = ("classification.backbone=statistics", "classification.epochs=1")
    arguments = (
        "train", "--case", 2, "--data", data, "--run", run, "--size", "64,40",
        "--fab", f"2={images}", *(word for s in (*settings, *light) for word in ("--set", s)),
    )  # fmt: skip
    done = semtf(*arguments)
    assert done.code == 2
    assert "16 bits" in done.error
    done = semtf(*arguments, "--range16", "0,4080")
    assert done.code == 0, done.err
    predict = ("predict", "--run", run, "--images", images, "--out", tmp_path / "out")
    assert "--range16 9,9" in semtf(*predict, "--range16", "9,9").error
    done = semtf(*predict, "--range16", "0,4080")
    assert done.code == 0, done.err
    assert Image.open(tmp_path / "out" / "000.png").size == (40, 64)
    assert len(list((tmp_path / "out").glob("*.png"))) == 30
    assert "--size 72,48" in semtf(*predict, "--size", "72,48").error


def test_train_without_data_makes_the_synthetic_fab(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from semtf.cli.train import find_data
    from semtf.simulation import world

    small = world.simulate
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(world, "simulate", lambda out: small(out, pairs=4, train=4, test=1))
    with pytest.raises(InputError, match="--case 5: choose 1, 2, 3, 4 or all"):
        find_data("5")
    assert list(tmp_path.iterdir()) == []
    assert find_data("all") == Path("data")
    assert "synthetic fab" in capsys.readouterr().err
    assert find_data("all") == Path("data")
    assert capsys.readouterr().err == ""
    (tmp_path / "open.zip").write_bytes(b"")
    assert find_data("all") == Path("open.zip")
    monkeypatch.chdir(tmp_path / "data")
    assert find_data("all") == Path()


def test_config_prints_the_preset(semtf) -> None:
    found = json.loads(semtf("config", "--preset", "challenge").out)
    assert found["adaptation"]["critic_steps"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere", "--run", "r"], "nowhere"),
        (["train", "--data", "x", "--set", "adaptation.width"], "FIELD=VALUE"),
        (["train", "--data", "x", "--set", "a.b=1"], "a.b"),
        (["train", "--resume"], "--run"),
        (["train", "--case", "5"], "--case"),
        (["train", "--data", "x", "--size", "72"], "H,W"),
        (["train", "--data", "x", "--size", "72,50"], "multiples of 8"),
        (["train", "--data", "x", "--fab", "images"], "CASE=DIR"),
        (["predict", "--run", "nowhere", "--images", "i", "--out", "o"], "nowhere"),
        (["predict", "--images", "i", "--out", "o"], "--run"),
        (["evaluate", "--predictions", "nowhere", "--truth", "t"], "nowhere"),
        (["export", "--run", "nowhere", "--out", "o"], "nowhere"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_calls(semtf, arguments: list[str], message: str) -> None:
    done = semtf(*arguments)
    assert done.code == 2
    assert message in done.error


def spoil_truncate(data: Path) -> Path:
    path = next((data / "test/SEM").glob("*.png"))
    path.write_bytes(path.read_bytes()[:200])
    return path


def spoil_text(data: Path) -> Path:
    path = next((data / "simulation_data/Depth/Case_2").rglob("*.png"))
    path.write_bytes(b"no image at all")
    return path


def spoil_16_bit(data: Path) -> Path:
    path = next((data / "train/SEM/Depth_130").rglob("*.png"))
    Image.fromarray(np.zeros((72, 48), np.uint16)).save(path)
    return path


def spoil_transposed(data: Path) -> Path:
    path = next((data / "train/SEM/Depth_110").rglob("*.png"))
    Image.fromarray(np.zeros((48, 72), np.uint8)).save(path)
    return path


def spoil_unpaired(data: Path) -> Path:
    path = next((data / "simulation_data/SEM/Case_3").rglob("*_itr1.png"))
    path.unlink()
    return path.with_name(path.name.replace("itr1", "itr0"))


@pytest.mark.parametrize(
    ("spoil", "case"),
    [
        (spoil_truncate, "1"),
        (spoil_text, "2"),
        (spoil_16_bit, "3"),
        (spoil_transposed, "1"),
        (spoil_unpaired, "3"),
    ],
)
def test_bad_images_are_named_or_left_out(
    semtf, fab: Path, tmp_path: Path, spoil, case: str
) -> None:
    data = Path(shutil.copytree(fab, tmp_path / "data"))
    bad = spoil(data)
    base = bad.name.removesuffix(".png").removesuffix("_itr0")
    arguments = (
        "train", "--data", data, "--run", tmp_path / "run", "--adapter", "none", "--case", case,
        "--index", "exact", "--set", "retrieval.tune=false",
        "--set", "classification.backbone=statistics", "--set", "classification.epochs=1",
    )  # fmt: skip
    done = semtf(*arguments)
    assert done.code == 2
    assert base in done.error
    assert not (tmp_path / "run").exists()
    done = semtf(*arguments, "--skip-bad")
    assert done.code == 0, done.err
    assert base in (tmp_path / "run" / "skipped.csv").read_text()
    assert json.loads((tmp_path / "run" / "data.json").read_text())["skipped"] >= 1


def test_spoiled_folders(semtf, copy: Path, tmp_path: Path) -> None:
    run = ("--run", tmp_path / "run", "--adapter", "none")
    (tmp_path / "empty").mkdir()
    assert "empty" in semtf("train", "--data", tmp_path / "empty", *run).error
    pairs = copy / "simulation_data/Depth/Case_4"
    pairs.rename(tmp_path / "aside")
    assert "Case_4" in semtf("train", "--data", copy, *run).error
    (tmp_path / "aside").rename(pairs)
    table = copy / "train/average_depth.csv"
    table.write_text("a,b,c\n1,2,3\n")
    assert "average_depth.csv" in semtf("train", "--data", copy, *run).error
    assert not (tmp_path / "run").exists()


def test_failures_while_running_exit_with_1(semtf, monkeypatch: pytest.MonkeyPatch) -> None:
    from semtf.evaluation import rmse

    def fail(*_: object) -> None:
        raise RuntimeError("disk\nfull")

    monkeypatch.setattr(rmse, "match", fail)
    done = semtf("evaluate", "--predictions", "p", "--truth", "t")
    assert done.code == 1
    assert done.error == "error: RuntimeError: disk full (--debug shows more)"
