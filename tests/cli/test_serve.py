"""`semtf serve`: who may be let in, and calls that are wrong."""

import os
import sys
from pathlib import Path

import httpx
import pytest

from semtf.cli import main
from semtf.serving.server import server
from semtf.serving.server.addresses import is_loopback
from semtf.serving.server.server import check_exposure
from semtf.serving.token import read_token


def serve(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run(["serve", *map(str, arguments)])
    return int(stop.value.code or 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of versions whose one version cannot be loaded."""
    folder = tmp_path / "semtf" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"hello")
    return folder.parent


def test_wrong_calls(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spaces").write_text("a token with spaces in it\n")
    (tmp_path / "empty").mkdir()
    for options, message in (
        (("--model", tmp_path / "empty"), "semtf export --run RUN"),
        (("--model", tmp_path / "none"), "no version folder"),
        (("--model", model, "--host", "0.0.0.0"), "give --token-file, or --insecure"),  # noqa: S104
        (("--model", model, "--host", "::"), "give --token-file, or --insecure"),
        (("--model", model, "--host", "nowhere.invalid", "--insecure"), "cannot listen there"),
        (("--model", model, "--token-file", tmp_path / "none"), "cannot be read"),
        (("--model", model, "--token-file", tmp_path / "spaces"), "without spaces"),
        (("--model", model, "--label", "stable"), "NAME=VERSION"),
        (("--model", model, "--engine", "tensorflow"), "is not on the PATH"),
        (("--model", model, "--port", "70000"), "70000"),
        (("--model", model, "--timeout", "nan"), "is not a finite number"),
        (("--model", model, "--window", "inf"), "is not a finite number"),
        (("--model", model, "--threads", "99999999999"), "--threads"),
        (("--model", model, "--name", "a/b"), "neither slash nor colon"),
        (("--model", model, "--name", ""), "neither slash nor colon"),
        (("--model", model, "--label", "a=1", "--label", "a=2"), "a is given twice"),
        (("--model", model, "--label", "a=" + "9" * 5000), "NAME=VERSION"),
    ):
        assert serve(*options) == 2, options
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error


def test_a_missing_package_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("semtf.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve("--model", model) == 2
    assert "pip install semtf[serve]" in capsys.readouterr().err


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.3.2.1", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))  # noqa: S104
    check_exposure("10.0.0.1", "token", insecure=False)
    check_exposure("10.0.0.1", None, insecure=True)


def test_token_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    assert read_token(path) == "0123456789abcdef"


def test_engine_tensorflow_runs_the_model_server(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / server.BINARY
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.called"\n')
    program.chmod(0o755)
    (model / "serving").mkdir()
    (model / "serving" / "batching.config").write_text("max_batch_size { value: 8 }\n")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    pid = os.fork()
    if pid == 0:  # pragma: no cover - this process becomes the program
        main.run(["serve", "--model", str(model), "--engine", "tensorflow", "--port", "8555"])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    called = Path(f"{program}.called").read_text().split()
    assert called == [
        "--rest_api_port=8555",
        "--model_name=semtf",
        f"--model_base_path={model}",
        "--enable_batching=true",
        f"--batching_parameters_file={model}/serving/batching.config",
    ]


def test_token_is_asked_for(model: Path, tmp_path: Path) -> None:
    from tests.serving.conftest import Server

    (tmp_path / "token").write_text("0123456789abcdef\n")
    running = Server(model, "--token-file", str(tmp_path / "token"))
    try:
        for given, code in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Basic 0123456789abcdef"}, 401),
            ({"Authorization": "Bearer 0123456789abcde"}, 401),
            ({"Authorization": "Bearer §"}, 401),
            ({"Authorization": "Basic 0123456789abcdef"}, 401),
            ({"Authorization": "Bearer 0123456789abcdef"}, 404),
            ({"Authorization": "bearer 0123456789abcdef"}, 404),
        ):
            headers = {key: value.encode() for key, value in given.items()}
            for method, path in (("GET", "/metadata"), ("POST", ":predict")):
                url = running.model + path
                answer = httpx.request(method, url, headers=headers, content=b"{}", trust_env=False)
                assert answer.status_code == code
                assert "error" in answer.json()
                assert (code == 401) == ("www-authenticate" in answer.headers)
        assert httpx.get(f"{running.url}/metrics", trust_env=False).status_code == 200
    finally:
        running.process.kill()
        running.process.wait()
