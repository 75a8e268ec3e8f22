"""What progress looks like where stderr is no terminal, and on one."""

import re
import sys

import pytest

from semtf import progress


def test_plain_lines_tell_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    clock = iter([100.0, *(100.0 + 2.5 * i for i in range(1, 20) for _ in range(3))])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress("training", 4) as advance:
        for _ in range(4):
            advance(1, "cycle 0.1")
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "training: 1/4 2 s, 0.4/s, 8 s left cycle 0.1"
    assert re.fullmatch(r"training: 4/4 \d+ s, 0\.\d+/s done", last)


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
    with progress.progress("training", 1) as advance:
        advance(1, "")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training: 1/1")
