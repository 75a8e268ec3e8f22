"""A simulation on a full or read-only disk ends in one line; a clock may jump."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from kills import contents

from semtf.cli import main
from semtf.lock import LOCK, Holder, lock_folder
from semtf.run import Run
from tests.full_disk import fill

Call = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def semtf(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls a command; gives its exit code and its lines of errors on stderr."""

    def call(*arguments: str | Path) -> tuple[int, list[str]]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main.run([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return int(stop.value.code or 0), [line for line in err.splitlines() if "error: " in line]

    return call


SIMULATE = ("--pairs", "4", "--train", "4", "--test", "4")


def test_a_full_disk_ends_a_simulation_in_one_line_and_leaves_nothing(
    semtf: Call,
    tmpfs: Path,
) -> None:
    fill(tmpfs / "filler")
    code, errors = semtf("simulate", tmpfs / "data", *SIMULATE)
    assert code in (1, 2)
    assert len(errors) == 1, errors
    assert "No space left" in errors[0] or "the disk has" in errors[0]
    left = [path for path in tmpfs.rglob("*") if path.is_file() and path.name != "filler"]
    assert left == []


COMMANDS = {
    "predict": ("predict --run {run} --images {fab}/test/SEM --out {out}/depth", 40),
    "predict into a zip": ("predict --run {run} --images {fab}/test/SEM --out {out}/d.zip", 8),
    "measure": ("measure --depth {fab}/simulation_data/Depth --out {out}/holes.csv", 8),
    "analyze": ("analyze --data {fab} --out {out}/page.html", 100),
    "report": ("report --run {run} --data {fab} --out {out}/page.html", 100),
    "benchmark": ("benchmark --run {run} --data {fab} --methods mean-map --out {out}/table.csv", 0),
    "export": ("export --run {run} --out {out}/1 --index exact --no-verify", 4000),
    "shard": ("shard {run} --shards 2 --out {out}/shards", 200),
    "add-pairs": ("add-pairs {out}/run --data {fab}", 200),
}
"""By name, a command that writes, and kilobytes of room that are too few for it."""


DEAR = ("export", "report")
"""Commands that are tried on a disk that fills up only, for their time."""
FILLING_UP = [pytest.param(name, True, id=f"{name}, filling up") for name in COMMANDS]
FULL = [pytest.param(name, False, id=f"{name}, full") for name in COMMANDS if name not in DEAR]


@pytest.mark.parametrize(("name", "some_room"), FILLING_UP + FULL)
def test_a_full_disk_ends_a_command_in_one_line_and_loses_nothing(
    name: str,
    some_room: bool,
    semtf: Call,
    fab: Path,
    run: Run,
    tmpfs: Path,
) -> None:
    line, kilobytes = COMMANDS[name]
    if "{out}/run" in line:
        shutil.copytree(run.path, tmpfs / "run")
    before = contents(tmpfs)
    (tmpfs / "reserve").write_bytes(bytes(1000 * kilobytes))
    fill(tmpfs / "filler")
    if some_room:
        (tmpfs / "reserve").unlink()
    words = [word.format(run=run.path, fab=fab, out=tmpfs) for word in line.split()]
    code, errors = semtf(*words)
    assert code in (1, 2)
    assert len(errors) == 1, errors
    assert str(tmpfs) in errors[0]
    subprocess.run(["mount", "-o", "remount,size=400m", str(tmpfs)], check=True)
    for filler in ("filler", "reserve"):
        (tmpfs / filler).unlink(missing_ok=True)
    after = contents(tmpfs)
    assert {name: after.get(name) for name in before} == before
    code, errors = semtf(*words)
    assert (code, errors) == (0, [])


@pytest.fixture
def read_only(tmpfs: Path) -> Path:
    """A disk that even root cannot write."""
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    return tmpfs


def test_a_disk_that_cannot_be_written_is_named(semtf: Call, read_only: Path) -> None:
    code, errors = semtf("simulate", read_only / "data", *SIMULATE)
    assert (code, len(errors)) == (2, 1)
    assert str(read_only) in errors[0]


@pytest.mark.parametrize("hours", [-1000, 1000])
def test_a_clock_that_jumps_neither_frees_nor_blocks_a_lock(hours: float, tmp_path: Path) -> None:
    with lock_folder(tmp_path, "trained"):
        now = time.time() + 3600 * hours
        os.utime(tmp_path / LOCK, (now, now))
        with (
            pytest.raises(Exception, match="is being trained by process"),
            lock_folder(tmp_path, "trained"),
        ):
            pass
    dead = {**asdict(Holder.here("trained")), "pid": 2**22 + 1, "since": time.time() + 3600 * hours}
    (tmp_path / LOCK).write_text(json.dumps(dead) + "\n")
    os.utime(tmp_path / LOCK, (now, now))
    with lock_folder(tmp_path, "trained"):
        pass


def test_images_of_the_future_are_packed_once(fab: Path, tmp_path: Path) -> None:
    from semtf.data.dataset import open_dataset

    data, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(fab, data)
    later = time.time() + 1e8
    for path in data.rglob("*.png"):
        os.utime(path, (later, later))
    first = open_dataset(data, cache=cache)
    packed = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    again = open_dataset(data, cache=cache)
    assert packed
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == packed
    np.testing.assert_array_equal(first.fab(1).images, again.fab(1).images)
