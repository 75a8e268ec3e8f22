"""The notebook on Kaggle's Python, in an environment without semtf and with no internet for pip."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXECUTE = ROOT / "tests/notebook_process.py"
ATTACHED = ("scann", "keras-cv", "keras-core")
"""What Kaggle has not, and the attached folder of wheels has, beside semtf itself."""


def kaggle_python() -> str:
    """A Python 3.12; the test is skipped where there is none."""
    for name in (os.environ.get("PYTHON312", ""), "python3.12"):
        path = shutil.which(name) if name else None
        if path and not subprocess.run([path, "-V"], capture_output=True, check=False).returncode:
            return path
    pytest.skip("no Python 3.12: set PYTHON312 to one")


@pytest.mark.slow
def test_it_runs_on_attached_wheels_alone(fab: Path, tmp_path: Path) -> None:
    given, work = tmp_path / "input", tmp_path / "working"
    given.mkdir()
    work.mkdir()
    lock = re.split(r"\n(?=\S)", (ROOT / "scripts/requirements.lock").read_text(encoding="utf-8"))
    kept = [entry for entry in lock if entry.partition("==")[0] not in ATTACHED]
    (tmp_path / "kaggle.txt").write_text("\n".join(kept), encoding="utf-8")
    subprocess.run([kaggle_python(), "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r"]
    subprocess.run([*install, tmp_path / "kaggle.txt"], check=True)
    environment = {**os.environ, "PYTHON": str(python)}
    environment.pop("PYTHONPATH", None)
    wheels = given / "semtf-wheels"
    subprocess.run([ROOT / "scripts/wheelhouse", wheels], env=environment, check=True)
    (given / "challenge").symlink_to(fab)
    settings = (
        f"INPUT, WORK = Path({str(given)!r}), Path({str(work)!r})\n"
        "CONFIG = {'adaptation': {'adapter': 'moment'}, 'classification': {'backbone': 'small', "
        "'epochs': 1}}"
    )
    # Should the notebook reach for an index, it fails.
    environment["PIP_NO_INDEX"] = "1"
    subprocess.run([python, EXECUTE, settings, work], cwd=work, env=environment, check=True)
    with zipfile.ZipFile(work / "submission.zip") as archive:
        assert len(archive.namelist()) == len(list((fab / "test/SEM").iterdir()))
    found = subprocess.run(
        [python, "-c", "import semtf; print(semtf.__file__)"],
        cwd=work, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "venv") in found.stdout
