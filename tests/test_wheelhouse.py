"""The wheel for Kaggle is whole, and building it leaves the source as it was."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from semtf.version import __version__

ROOT = Path(__file__).parents[1]
PARTS = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


def wheelhouse(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "scripts/wheelhouse", *arguments],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_of_a_read_only_source_is_whole(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "wheels"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "semtf", source / "semtf", ignore=ignored)
    (source / "scripts").mkdir()
    for name in (*PARTS, "scripts/wheelhouse"):
        shutil.copy(ROOT / name, source / name)
    before = files(source)
    for path in (*source.rglob("*"), source):
        path.chmod(path.stat().st_mode & 0o555)
    for _ in range(2):
        done = wheelhouse(source, "--own", out)
        assert done.returncode == 0, done.stderr
    (wheel,) = out.iterdir()
    assert wheel.name == f"semtf-{__version__}-py3-none-any.whl"
    listed = done.stdout.split()
    assert listed[1::2] == [wheel.name, "total"]
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("semtf/")}
    assert packed == {name for name in before if name.startswith("semtf/")}
    assert files(source) == before


def test_a_wrong_call_says_how_it_is_meant(tmp_path: Path) -> None:
    for arguments in ([], ["--help"], [tmp_path, tmp_path]):
        done = wheelhouse(ROOT, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "usage: scripts/wheelhouse [--own] DIR\n"
