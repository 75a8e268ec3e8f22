"""Real trainings that meet in one run folder: one trains, and a kill blocks nobody."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from semtf import extension, pipeline
from semtf.cli import main
from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.lock import LOCK, lock_folder, part_holders
from semtf.manifest import MANIFEST
from semtf.run import Run
from semtf.timings import TIMINGS
from tests.command import finish, start

TRAIN = """
import sys
from semtf import pipeline
from semtf.presets import preset
config = preset("quick").with_settings({
    "deterministic": True, "retrieval.index": "exact", "adaptation.width": 4,
    "adaptation.batch": 4, "adaptation.first_epochs": 1, "adaptation.other_epochs": 1,
    "adaptation.warm_up_steps": 2, "adaptation.steps_per_epoch": 2,
    "classification.backbone": "statistics", "classification.epochs": 1,
})
data, run, case = sys.argv[1:]
pipeline.train(data, case if case == "all" else int(case), run=run, config=config)
"""


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
    holder = f"case 2 is being trained by process {training.pid} on "
    assert errors[0].startswith(f"error: {folder}: {holder}")
    while not (folder / "cases").exists() and training.poll() is None:
        time.sleep(0.01)
    training.kill()
    assert (folder / f"{LOCK}.case_2").exists()
    resumed = start(*options, "--resume")
    code, _, errors = finish(resumed)
    assert (code, errors) == (0, [])
    training.communicate()
    run = Run.open(folder)
    assert run.finished
    assert len((run.adaptation(2) / "history.csv").read_text().splitlines()) == 1 + 1
    assert list(folder.glob(f"{LOCK}*")) == []


def test_several_processes_share_the_cases_of_a_run(fab: Path, tmp_path: Path) -> None:
    """One of three is killed at its case: the others do that, too, and end as one alone does."""

    def training(folder: Path, case: int | str) -> subprocess.Popen[str]:
        return start(fab, folder, str(case), code=TRAIN)

    folder = tmp_path / "run"
    others = [training(folder, "all")]
    while "case_1" not in part_holders(folder) and others[0].poll() is None:
        time.sleep(0.01)
    killed = training(folder, 4)  # It waits for case 1.
    others.append(training(folder, "all"))
    while killed.poll() is None:
        holder = part_holders(folder).get("case_4")
        if holder is not None and holder.pid == killed.pid:
            break
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    for code, _, errors in map(finish, others):
        assert (code, errors) == (0, [])
    code, _, errors = finish(training(tmp_path / "alone", "all"))
    assert (code, errors) == (0, [])
    run, alone = Run.open(folder), Run.open(tmp_path / "alone")
    assert run.finished
    assert run.cases == (1, 2, 3, 4)
    assert part_holders(folder) == {}
    assert set(run.timings) == set(alone.timings)
    manifests = [json.loads((place.path / MANIFEST).read_text()) for place in (run, alone)]
    names = {name for name in set().union(*manifests) if "/logs/" not in name} - {TIMINGS}
    assert {name: manifests[0].get(name) for name in names} == {
        name: manifests[1].get(name) for name in names
    }


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
