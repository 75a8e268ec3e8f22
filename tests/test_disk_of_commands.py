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

from semtf.cli import main
from semtf.lock import LOCK, Holder, lock_folder
from tests.test_disk import fill, tmpfs  # noqa: F401 - a fixture

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
    tmpfs: Path,  # noqa: F811
) -> None:
    fill(tmpfs / "filler")
    code, errors = semtf("simulate", tmpfs / "data", *SIMULATE)
    assert code in (1, 2)
    assert len(errors) == 1, errors
    assert "No space left" in errors[0] or "the disk has" in errors[0]
    left = [path for path in tmpfs.rglob("*") if path.is_file() and path.name != "filler"]
    assert left == []


@pytest.fixture
def read_only(tmpfs: Path) -> Path:  # noqa: F811
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
