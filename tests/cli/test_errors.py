"""What the commands say of errors that no code of theirs foresees."""

from typing import Any

import click
import pytest

from semtf.cli import main


def told(
    error: BaseException, words: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, str]:
    """Exit code, and the end of stderr, of a command that ends with an error."""

    def fails(**_: Any) -> None:
        raise error

    # --debug sets it, for processes of later tests too where it is not given back.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    command = click.Command("train", callback=fails)
    written: list[str] = []
    monkeypatch.setattr(click, "echo", lambda text, err: written.append(text))
    with pytest.raises(SystemExit) as ended:
        main._main(command, words, name)
    return ended.value.code, written[-1]


def test_an_interrupted_training_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = told(KeyboardInterrupt(), [], "semtf-train", monkeypatch)
    assert (code, text) == (1, "error: interrupted; with --resume the same command goes on")
    code, text = told(KeyboardInterrupt(), [], "semtf", monkeypatch)
    assert (code, text) == (1, "error: interrupted")


def test_what_cannot_be_imported_leads_to_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ImportError("numpy.core.umath failed to import")
    code, text = told(error, [], "semtf", monkeypatch)
    assert code == 1
    assert text.startswith("error: numpy.core.umath failed to import (semtf doctor")
    with pytest.raises(ImportError):
        told(error, ["--debug"], "semtf", monkeypatch)
