"""Locks of run folders: real processes that compete, are killed, and leave locks behind."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from semtf import lock
from semtf.errors import InputError
from semtf.lock import LOCK, Holder, is_vacant, lock_folder

# Takes the lock as soon as the file "go" appears, says so, and holds it until its input ends.
CODE = """
import sys, time
from pathlib import Path
from semtf.errors import InputError
from semtf.lock import lock_folder
folder, go = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not go.exists():
    pass
try:
    with lock_folder(folder, "trained"):
        print("held", flush=True)
        sys.stdin.read()
except InputError as error:
    print(error, flush=True)
"""


def process(folder: Path, go: Path) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", CODE, folder, go],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def said(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def write(folder: Path, holder: Holder) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOCK).write_text(json.dumps(asdict(holder)))
    return folder / LOCK


def test_a_lock_says_who_holds_it_and_goes_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run"
    with lock_folder(folder, "trained"):
        assert is_vacant(folder)
        expected = (
            rf"{folder}: is being trained by process {os.getpid()} on {socket.gethostname()} "
            r"since \d{4}-\d\d-\d\d \d\d:\d\d; wait for it, or choose another --run"
        )
        with pytest.raises(InputError) as error, lock_folder(folder, "trained"):
            pass
        assert re.fullmatch(expected, str(error.value))
    assert not folder.exists()
    with lock_folder(folder, "trained"):
        (folder / "file").write_text("1")
        assert not is_vacant(folder)
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("dead", [False, True])
def test_exactly_one_of_many_at_once_wins(dead: bool, tmp_path: Path) -> None:
    """Whether there is no lock or one of a dead process, which all of them want to take over."""
    for attempt in range(3):
        folder, go = tmp_path / f"run{attempt}", tmp_path / f"go{attempt}"
        if dead:
            write(folder, replace(Holder.here("trained"), started=1.0))
        rivals = [process(folder, go) for _ in range(4)]
        go.touch()
        answers = [said(rival) for rival in rivals]
        assert answers.count("held") == 1, answers
        winner = rivals[answers.index("held")]
        assert all(f"by process {winner.pid} " in answer for answer in answers if answer != "held")
        for rival in rivals:
            rival.communicate()
        assert not (folder / LOCK).exists()


def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    folder, go = tmp_path / "run", tmp_path / "go"
    go.touch()
    first = process(folder, go)
    assert said(first) == "held"
    first.kill()
    # Nobody has waited for it: it is a zombie, whose process id is still in the table.
    while (state := Path(f"/proc/{first.pid}/stat")).exists() and ") Z " not in state.read_text():
        time.sleep(0.01)
    with lock_folder(folder, "trained"):
        assert json.loads((folder / LOCK).read_text())["pid"] == os.getpid()
    first.communicate()


def test_a_process_id_used_again_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, replace(Holder.here("trained"), started=Holder.here("trained").started - 60))
    with lock_folder(tmp_path, "trained"):
        pass


def test_another_machine_is_believed_and_its_silence_told(tmp_path: Path) -> None:
    path = write(tmp_path, replace(Holder.here("extended"), host="elsewhere", pid=1))
    with (
        pytest.raises(InputError, match=r"extended by process 1 on elsewhere .*a sign \d+ s ago"),
        lock_folder(tmp_path, "trained"),
    ):
        pass
    hours_ago = time.time() - 7200
    os.utime(path, (hours_ago, hours_ago))
    with (
        pytest.raises(InputError, match=rf"no sign for 120 min; .*delete {path}"),
        lock_folder(tmp_path, "trained"),
    ):
        pass
    assert path.exists()


def test_a_lock_that_is_held_gives_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.02)
    with lock_folder(tmp_path, "trained"):
        os.utime(tmp_path / LOCK, (1.0, 1.0))
        end = time.monotonic() + 10
        while (tmp_path / LOCK).stat().st_mtime < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert time.time() - (tmp_path / LOCK).stat().st_mtime < 60


@pytest.mark.parametrize("content", ["", '{"pid": 1', "[]"])
def test_a_lock_cut_off_by_a_kill_is_taken_over(content: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(content)
    os.utime(tmp_path / LOCK, (1.0, 1.0))
    (tmp_path / (LOCK + ".claim")).write_text("")
    os.utime(tmp_path / (LOCK + ".claim"), (1.0, 1.0))
    with lock_folder(tmp_path, "trained"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    with (
        pytest.raises(InputError, match="file: is a file"),
        lock_folder(tmp_path / "file", "trained"),
    ):
        pass
    with (
        pytest.raises(InputError, match="cannot be written"),
        lock_folder(tmp_path / "file" / "run", "trained"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "1"
