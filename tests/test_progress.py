"""What progress looks like where stderr is no terminal, and on one."""

import re
import sys

import pytest

from semtf import progress


def test_plain_lines_tell_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    clock = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock)
    with progress.progress("training", 4) as advance:
        for seconds in (40, 2, 2, 2):  # the first step takes longer
            clock += seconds
            advance(1, "cycle 0.1")
    assert capsys.readouterr().err.splitlines() == [
        "training: 1/4 40 s, 0.025/s cycle 0.1",
        "training: 2/4 42 s, 0.0476/s, 4 s left cycle 0.1",
        "training: 3/4 44 s, 0.0682/s, 2 s left cycle 0.1",
        "training: 4/4 46 s, 0.087/s done",
    ]


def test_a_bar_tells_counts_rate_and_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.progress("training", 3) as advance:
        for _ in range(3):
            advance(1, "cycle 0.1")
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "cycle 0.1" in shown
    assert re.search(r"[\d.e+]+/s", shown)


def test_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    progress.warn("the light is off")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "warning: the light is off\n")


def test_notebooks_get_plain_lines_from_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("JPY_PARENT_PID", "7")
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with progress.progress("training", 2) as advance:
        advance(1, "")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training: 1/2")
