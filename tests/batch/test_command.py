"""`semtf predict-batch` as a user types it, where Ray is missing and where options are wrong."""

import sys
from pathlib import Path

import pytest
from commands import free_ports

from semtf.batch import cluster
from semtf.cli.main import run as semtf


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Calls the command; gives the one line of its error."""

    def call(*arguments: str) -> str:
        basic = ("predict-batch", "--run", "nowhere", "--images", "none", "--out", str(tmp_path))
        with pytest.raises(SystemExit) as stop:
            semtf([*basic, *arguments])
        assert stop.value.code == 2
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
        return line

    return call


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_a_missing_package_is_one_line(
    error, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, package, None)
    assert error() == (
        f'error: the package {package} is missing; install it with pip install "semtf[ray]"'
    )


def test_a_cluster_that_is_not_there_is_told_before_anything_is_written(
    error, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster, "import_ray", lambda: None)
    (port,) = free_ports(1)
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        line = error("--address", address)
        assert line.startswith(f"error: --address {address}: no Ray cluster answers (")
        assert "ray start --head" in line
    assert "no Ray cluster answers" in error("--address", "127.0.0.1:port")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    assert f"--address auto: RAY_ADDRESS=127.0.0.1:{port}: no Ray cluster" in error()
    assert list(tmp_path.iterdir()) == []


def test_wrong_options(error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "import_ray", lambda: None)
    assert "no run there" in error()
    assert "it needs --format parquet" in error("--format", "png", "--dtype", "float16")
    assert "the second must be larger" in error("--range16", "9,3")
    assert "--workers" in error("--workers", "0")
    assert "--format" in error("--format", "csv")
