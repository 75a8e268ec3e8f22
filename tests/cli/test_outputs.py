"""What commands refuse to overwrite, as a user types them, and what the folders hold afterwards."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.cli import main
from semtf.presets import preset
from semtf.run import Run

LIGHT = (
    "--adapter", "none", "--set", "classification.backbone=statistics",
    "--set", "classification.epochs=1",
)  # fmt: skip


@pytest.fixture
def semtf(capsys: pytest.CaptureFixture[str]):
    """Calls a command; gives its exit code and its last line on stderr."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main.run([str(argument) for argument in arguments])
        lines = capsys.readouterr().err.splitlines()
        return int(stop.value.code or 0), lines[-1] if lines else ""

    return call


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """A run that could not estimate anything: refusals come before that."""
    return Run.create(tmp_path / "untrained", preset("quick")).path


def images(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(60, 212, (72, 48), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_predict_never_replaces_its_images(semtf, untrained: Path, tmp_path: Path) -> None:
    sem = images(tmp_path / "sem", "a.png", "b.png")
    (tmp_path / "link").symlink_to(sem)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a.png").symlink_to(sem / "a.png")
    sites = images(tmp_path / "sites", "s1/a.png", "s2/a.png")
    nested = images(tmp_path / "nested", "top/a.png")
    tiff = images(tmp_path / "tiff", "a.tif")
    packed = tmp_path / "sem.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(sem / "a.png", "a.png")
    votes = tmp_path / "votes" / "predictions.csv"
    votes.parent.mkdir()
    votes.write_text("name,site\na.png,s\nb.png,s\n")
    before = content(tmp_path)
    for given, out, *more in (
        (sem, sem),
        (sem, tmp_path / "link"),
        (sem, sem / ".." / "sem"),
        (tmp_path / "link", sem),
        (linked, sem),
        (sem, linked),
        (sites, sites),
        (nested, nested / "top"),
        (tiff, tiff),
        (packed, packed),
        (sem, votes.parent, "--sites", votes),
    ):
        code, error = semtf(
            "predict", "--run", untrained, "--images", given, "--out", out, *more
        )  # fmt: skip
        assert code == 2, (given, out, error)
        assert error.startswith("error: ")
        assert "choose" in error
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (("0.png", "0.tif"), (), ("0.png and 0.tif",)),
        (("s/0.png", "s/0.tif", "t/1.png"), (), ("s/0.png and s/0.tif",)),
        (("a.png", "A.png"), (), ("A.png and a.png",)),
        (("a.png", "a_sigma.png"), ("--arrays",), ("a.png and a_sigma.png",)),
    ],
)
def test_images_of_one_name_are_refused(
    semtf, untrained: Path, tmp_path: Path, names: tuple[str, ...], options, said
) -> None:
    given = images(tmp_path / "images", *names)
    out = tmp_path / ("out" if options else "sub.zip")
    arguments = ("--run", untrained, "--images", given, "--out", out, *options)
    code, error = semtf("predict", *arguments)
    assert code == 2
    assert all(part in error for part in said)
    assert not out.exists()
    code, error = semtf("measure", "--depth", given, "--out", tmp_path / "table.csv")
    if not options:
        assert code == 2
        assert all(part in error for part in said)
        code, error = semtf("evaluate", "--predictions", given, "--truth", given)
        assert code == 2
        assert all(part in error for part in said)


def test_a_submission_keeps_the_table_of_another(
    semtf, run: Run, untrained: Path, tmp_path: Path
) -> None:
    sem, fewer = images(tmp_path / "sem", "0.png", "1.png"), images(tmp_path / "fewer", "0.png")
    out = tmp_path / "out"
    predict = ("predict", "--run", run.path, "--out", out / "first.zip", "--images")
    assert semtf(*predict, sem)[0] == 0
    first = content(out)
    assert set(first) == {"first.zip", "predictions.csv"}
    shutil.copy(out / "first.zip", tmp_path / "alone.zip")
    for place, message in (
        (out / "second.zip", "another folder for --out"),
        (out, "another folder for --out"),
        (tmp_path / "alone.zip", "without the predictions.csv"),
    ):
        code, error = semtf("predict", "--run", untrained, "--images", sem, "--out", place)
        assert code == 2
        assert message in error
    assert content(out) == first
    # Another prediction under the same name replaces both files.
    assert semtf(*predict, fewer)[0] == 0
    assert zipfile.ZipFile(out / "first.zip").namelist() == ["0.png"]
    assert len((out / "predictions.csv").read_text().splitlines()) == 2
    assert set(content(out)) == set(first)


def test_a_folder_keeps_no_stale_depth_maps(
    semtf, run: Run, untrained: Path, tmp_path: Path
) -> None:
    sem, fewer = images(tmp_path / "sem", "0.png", "1.png"), images(tmp_path / "fewer", "0.png")
    sites = images(tmp_path / "sites", "s/0.png", "t/0.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    predict = ("predict", "--run", run.path, "--images", sem, "--out", out)
    assert semtf(*predict)[0] == 0
    before = content(out)
    assert set(before) == {"0.png", "1.png", "predictions.csv", "notes.txt"}
    assert semtf(*predict, "--k", 1, "--arrays")[0] == 0
    after = content(out)
    assert set(after) - set(before) == {f"{i}{end}.npy" for i in (0, 1) for end in ("", "_sigma")}
    assert after["predictions.csv"] != before["predictions.csv"]
    for given, options, left in (
        (fewer, ("--arrays",), "out/1.npy"),
        (sem, (), "out/0.npy"),
        (sites, (), "out/0.npy"),
    ):
        code, error = semtf(
            "predict", "--run", untrained, "--images", given, "--out", out, *options
        )
        assert code == 2
        assert f"{left}: is not of this prediction" in error
    assert content(out) == after


def test_tables_and_pages_go_where_they_can(semtf, fab: Path, run: Run, tmp_path: Path) -> None:
    depth = images(tmp_path / "depth", "a.png")
    predictions = depth / "predictions.csv"
    predictions.write_text("name,case,case_probability\na.png,1,1.0\n")
    (tmp_path / "folder").mkdir()
    page = tmp_path / "page.html"
    page.write_text("<title>my page</title>")
    before = content(tmp_path)
    measure = ("measure", "--depth", depth)
    benchmark = ("benchmark", "--data", fab, "--run", run.path)
    report = ("report", "--data", fab, "--run", run.path)
    for command, out, message in (
        (measure, predictions, "another kind of file"),
        (measure, depth / "a.png", "ends in .csv"),
        (measure, tmp_path / "folder", "is a folder"),
        (measure, tmp_path / "table", "ends in .csv"),
        (measure, page / "table.csv", "no folder can be there"),
        (benchmark, predictions, "another kind of file"),
        (benchmark, fab / "truth/cases.csv", "another kind of file"),
        (benchmark, tmp_path / "folder", "is a folder"),
        (report, page, "another kind of file"),
        (report, tmp_path / "folder", "is a folder"),
        (report, fab / "truth/cases.csv", "ends in .html"),
    ):
        code, error = semtf(*command, "--out", out)
        assert code == 2, (command, out)
        assert message in error
    assert content(tmp_path) == before
    for _ in range(2):
        assert semtf(*measure, "--out", depth / "holes.csv")[0] == 0
        assert semtf(*report, "--out", tmp_path / "new" / "report.html")[0] == 0


def test_empty_folders_are_taken(semtf, fab: Path, run: Run, tmp_path: Path) -> None:
    for name in ("run", "version", "world", "full"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".DS_Store").write_text("mac")
    (tmp_path / "full" / "thesis.txt").write_text("years")
    train = ("train", "--case", 2, "--data", fab, *LIGHT, "--run")
    code, error = semtf(*train, tmp_path / "full")
    assert code == 2
    assert "holds other files and no run" in error
    assert "make one" not in error
    code, error = semtf("predict", "--run", tmp_path / "full", "--images", "i", "--out", "o")
    assert code == 2
    assert "name a folder that semtf-train made" in error
    export = ("export", "--run", run.path, "--no-verify", "--out")
    simulate = ("--pairs", 1, "--train", 1, "--test", 1)
    for command in ((*export, tmp_path / "full"), ("simulate", tmp_path / "full", *simulate)):
        code, error = semtf(*command)
        assert code == 2
        assert "not empty" in error
    assert set(content(tmp_path / "full")) == {".DS_Store", "thesis.txt"}
    code, error = semtf(*train, tmp_path / "run")
    assert code == 0, error
    assert Run.open(tmp_path / "run").cases == (2,)
    assert semtf(*export, tmp_path / "version")[0] == 0
    assert (tmp_path / "version" / "saved_model.pb").exists()
    (tmp_path / "link").symlink_to(tmp_path / "world")
    assert semtf("simulate", tmp_path / "link", *simulate)[0] == 0
    assert (tmp_path / "world" / "truth" / "cases.csv").exists()
    assert (tmp_path / "world" / ".DS_Store").exists()


def test_a_run_does_not_replace_what_it_reads(semtf, fab: Path, run: Run, tmp_path: Path) -> None:
    own = Path(shutil.copytree(run.path, tmp_path / "run"))
    data = Path(shutil.copytree(fab, own / "storage" / "case_1" / "data"))
    before = content(own)
    code, error = semtf("add-pairs", own, "--data", data)
    assert code == 2
    assert "would replace the input" in error
    weights = own / "classifier" / "classifier.json"
    code, error = semtf(
        "train", "--run", own, "--data", fab, "--resume", "--classifier-weights", weights
    )  # fmt: skip
    assert code == 2
    assert "would replace the input" in error
    assert content(own) == before
