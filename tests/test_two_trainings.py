"""Real trainings that meet in one run folder: one trains, and a kill blocks nobody."""

import shutil
import time
from pathlib import Path

import pytest

from semtf import extension, pipeline
from semtf.cli import main
from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.lock import LOCK, lock_folder
from semtf.run import Run
from tests.command import finish, start


def test_two_trainings_at_once_then_a_kill_and_resume(fab: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = (
        "train", "--case", 2, "--data", fab, "--run", folder, "--index", "exact",
        "--set", "classification.backbone=statistics", "--set", "classification.epochs=1",
        "--set", "adaptation.width=4", "--set", "adaptation.first_epochs=1",
        "--set", "adaptation.warm_up_steps=0", "--set", "adaptation.steps_per_epoch=2",
    )  # fmt: skip
    processes = [start(*options) for _ in range(2)]
    while all(process.poll() is None for process in processes):
        time.sleep(0.05)
    refused, training = sorted(processes, key=lambda process: process.poll() is None)
    code, _, errors = finish(refused)
    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {folder}: is being trained by process {training.pid} on ")
    while not (folder / "cases").exists() and training.poll() is None:
        time.sleep(0.01)
    training.kill()
    assert (folder / LOCK).exists()
    resumed = start(*options, "--resume")
    code, _, errors = finish(resumed)
    assert (code, errors) == (0, [])
    training.communicate()
    run = Run.open(folder)
    assert run.finished
    assert len((run.adaptation(2) / "history.csv").read_text().splitlines()) == 1 + 1
    assert not (folder / LOCK).exists()


def test_every_writer_is_kept_out_and_no_reader(
    run: Run, fab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run.path, tmp_path / "run"))
    manifest = (folder / "manifest.json").read_bytes()
    report = ["report", "--run", str(folder), "--data", str(fab)]
    with lock_folder(folder, "trained"):
        with pytest.raises(InputError, match="is being trained by process"):
            pipeline.train(fab, run=folder, resume=True)
        with pytest.raises(InputError, match="is being trained by process"):
            extension.add_pairs(folder, fab)
        with pytest.raises(SystemExit, match="2"):
            main.run(report)
        assert "is being trained by process" in capsys.readouterr().err
        assert load(folder, index="exact").models.cases == run.cases
    assert (folder / "manifest.json").read_bytes() == manifest
    assert extension.add_pairs(folder, fab) == dict.fromkeys(run.cases, 0)
    assert LOCK not in (folder / "manifest.json").read_text()
