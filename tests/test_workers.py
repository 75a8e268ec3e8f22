"""`semtf train` on several workers: the chief alone writes, a kill ends all, and others go on."""

import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from commands import free_ports, worker_config

from semtf.run import Run
from tests.command import finish, start

SETTINGS = {
    "adaptation.width": 4,
    "adaptation.blocks": 1,
    "adaptation.batch": 6,
    "adaptation.first_epochs": 6,
    "adaptation.warm_up_steps": 1,
    "adaptation.steps_per_epoch": 2,
    "adaptation.tensorboard": "false",
    "classification.backbone": "statistics",
    "classification.batch": 6,
    "classification.epochs": 1,
    "classification.steps_per_epoch": 2,
    "retrieval.tune": "false",
    "retrieval.index": "exact",
}


def train(
    fab: Path, run: Path, workers: int, *, resume: bool = False
) -> list[subprocess.Popen[str]]:
    """Start the same command once a worker."""
    settings = [word for item in SETTINGS.items() for word in ("--set", "{}={}".format(*item))]
    options = ["--resume"] if resume else settings
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    return [
        start(
            *("train", "--data", fab, "--run", run, "--case", "1", *options),
            environment={"TF_CONFIG": worker_config(addresses, index)} if workers > 1 else {},
        )
        for index in range(workers)
    ]


def epochs(run: Path) -> list[str]:
    """The rows of the history so far."""
    for path in (run / "cases").rglob("history.csv"):
        return path.read_text().splitlines()[1:]
    return []


@pytest.mark.parametrize(
    ("workers", "killed", "after"),
    [
        (2, 1, 1),
        pytest.param(2, 0, 3, marks=pytest.mark.slow),
        pytest.param(3, 2, 2, marks=pytest.mark.slow),
    ],
)
def test_a_kill_ends_all_and_another_number_goes_on(
    workers: int, killed: int, after: int, fab: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    processes = train(fab, run, workers)
    while len(epochs(run)) < 2 and all(process.poll() is None for process in processes):
        time.sleep(0.02)
    processes[killed].kill()
    begun = time.monotonic()
    for index, process in enumerate(processes):
        if index != killed:
            code, _, errors = finish(process)
            assert time.monotonic() - begun < 60
            assert code == 1
            assert len(errors) == 1
            assert "error: a worker does not answer any more; start any number of" in errors[0]
    processes[killed].communicate()
    before = epochs(run)
    assert not Run.open(run).finished
    for process in train(fab, run, after, resume=True):
        code, _, errors = finish(process)
        assert (code, errors) == (0, [])
    finished = Run.open(run)
    assert finished.finished
    finished.check(full=True)
    history = pd.read_csv(finished.adaptation(1) / "history.csv")
    assert list(history["epoch"]) == list(range(SETTINGS["adaptation.first_epochs"]))
    done = len(before) - 1
    assert (finished.adaptation(1) / "history.csv").read_text().splitlines()[1 : 1 + done] == (
        before[:done]
    )


def test_a_chief_that_fails_tells_the_others(fab: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    chief, other = (
        start(
            *("train", "--data", fab, "--run", tmp_path / "run", "--adapter", "none"),
            *("--set", "classification.batch=7"),
            environment={"TF_CONFIG": worker_config(addresses, index)},
        )
        for index in range(2)
    )
    code, _, errors = finish(chief)
    assert code == 2
    assert "classification.batch 7: cannot be split evenly over 2 devices" in errors[0]
    assert "set it to 6 or 8" in errors[0]
    code, _, errors = finish(other)
    assert code == 2
    assert "the chief ended: classification.batch 7" in errors[0]
