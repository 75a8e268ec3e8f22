"""Who trains which case of a run folder: other processes are played by locks of this one."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from semtf import case_claims
from semtf.case_claims import PART, SETTING_UP, CaseClaims
from semtf.config import RunConfig
from semtf.errors import InputError, TrainingError
from semtf.lock import LOCK, Holder, Lock, lock_folder, part_holders
from semtf.run import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(case_claims, "PAUSE_SECONDS", 0.05)
    return Run.create(tmp_path / "run", RunConfig())


def train(run: Run, cases: list[int], during: Callable[[int], None] = lambda _: None) -> list[int]:
    """The cases that a process trains, which are then stored."""
    trained = []

    def case(number: int) -> None:
        assert PART.format(number) in part_holders(run.path)
        assert not (run.path / LOCK).exists()
        during(number)
        run.adaptation(number).mkdir(parents=True)
        run.storage(number).mkdir(parents=True)
        trained.append(number)

    with lock_folder(run.path, SETTING_UP, joins=True) as lock:
        CaseClaims(lock, run, cases).train(case)
        assert (run.path / LOCK).exists()
    return trained


def other(run: Run, case: int) -> Lock:
    lock = Lock(run.path, PART.format(case))
    lock.take("trained")
    return lock


def test_a_case_of_another_process_is_left_to_it(run: Run) -> None:
    run.adaptation(1).mkdir(parents=True)
    run.storage(1).mkdir(parents=True)
    held = other(run, 3)
    assert train(run, [1, 2, 3, 4]) == [2, 4]
    assert list(part_holders(run.path)) == ["case_3"]
    held.release()
    assert train(run, [1, 2, 3, 4]) == [3]
    assert part_holders(run.path) == {}


def test_who_finds_only_cases_of_others_is_told_of_them(run: Run) -> None:
    run.adaptation(1).mkdir(parents=True)
    other(run, 3)
    with pytest.raises(
        InputError, match=rf"run: case 3 is being trained by process {os.getpid()} on .*; wait for"
    ):
        train(run, [3])


def test_a_case_of_a_process_that_died_is_taken_over_in_the_end(run: Run) -> None:
    held = other(run, 2)

    def dies(number: int) -> None:
        if number == 4:
            held.release()

    assert train(run, [1, 2, 3, 4], dies) == [1, 3, 4, 2]


@pytest.mark.parametrize("cases", [[3], [1, 3]])
def test_other_cases_wait_for_the_first_one(
    run: Run, cases: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    held = other(run, 1)
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.extend(train(run, cases)))
    thread.start()
    time.sleep(0.3)
    assert result == []
    run.adaptation(1).mkdir(parents=True)
    thread.join(20)
    assert result == [3]
    assert "case 1 is being trained by process" in capsys.readouterr().err
    held.release()


def test_no_case_starts_without_the_first_whose_process_died(run: Run) -> None:
    held = other(run, 1)
    threading.Timer(0.3, held.release).start()
    with pytest.raises(TrainingError, match="ended early; go on with --case 1 --resume"):
        train(run, [3])
    held.take("trained")
    threading.Timer(0.3, held.release).start()
    assert train(run, [1, 3]) == [1, 3]


def test_a_silent_machine_is_not_waited_for(run: Run) -> None:
    far = replace(Holder.here("trained"), host="elsewhere", pid=1)
    path = run.path / f"{LOCK}.case_1"
    path.write_text(far.line())
    hours_ago = time.time() - 7200
    os.utime(path, (hours_ago, hours_ago))
    with pytest.raises(InputError, match=rf"on elsewhere .*no sign for 120 min; .*delete {path}"):
        train(run, [1, 3])


def test_nobody_changes_a_run_with_a_case_in_training(run: Run) -> None:
    held = other(run, 2)
    with (
        pytest.raises(InputError, match="case 2 is being trained by process"),
        lock_folder(run.path, "extended"),
    ):
        pass
    assert not (run.path / LOCK).exists()
    held.release()
    with lock_folder(run.path, "extended"):
        pass


def test_an_error_gives_the_case_back(run: Run) -> None:
    def fails(number: int) -> None:
        raise TrainingError("out of luck")

    with pytest.raises(TrainingError, match="out of luck"):
        train(run, [1], fails)
    assert [path.name for path in run.path.iterdir() if path.name.startswith(LOCK)] == []
