"""What one set of versions made, the other one reads: runs, weights and exports.

The runs of the other set are trained by its interpreter, which OTHER_PYTHON names; a small run
that the classic set trained is stored.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import semtf
from semtf.adaptation import adapter
from semtf.run import Run
from tests.backend.set_process import INDEXES

OTHER = os.environ.get("OTHER_PYTHON", "")
PROCESS = Path(__file__).with_name("set_process.py")
ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests/fixtures/run_of_the_classic_set"
# Grey levels of the depth maps and adapted images; shares of the similarity.
TOLERANCES = {"depth": 0.01, "sigma": 0.01, "adapted": 0.01, "similarity": 1e-4, "case": 0}

needs_other = pytest.mark.skipif(not OTHER, reason="OTHER_PYTHON names no other interpreter")


def start(python: str, *arguments: object) -> None:
    """Run a command of the process with an interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [python, str(PROCESS), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def assert_alike(found: Path, expected: Path) -> None:
    with np.load(found) as one, np.load(expected) as other:
        for name in one.files:
            np.testing.assert_allclose(
                one[name], other[name], rtol=0, atol=TOLERANCES[name], err_msg=name
            )


def test_a_run_of_the_classic_set_predicts_as_it_did(tmp_path: Path) -> None:
    with zipfile.ZipFile(STORED / "run.zip") as archive:
        archive.extractall(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    with np.load(STORED / "expected.npz") as expected:
        images = expected["images"]
        found = semtf.load(run.path, index="exact").predict(images)
        for name in ("depth", "sigma", "similarity", "case"):
            tolerance = TOLERANCES[name]
            np.testing.assert_allclose(getattr(found, name), expected[name], 0, tolerance)
        loaded = adapter.load(run.adaptation(1), run.config.image, run.config.adaptation)
        adapted = loaded(images.astype(np.float32)).numpy()
        np.testing.assert_allclose(adapted, expected["adapted"], 0, TOLERANCES["adapted"])


@pytest.fixture(scope="module", params=["here", "there"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A folder of one set, and the interpreter of the other one."""
    folder = tmp_path_factory.mktemp("sets") / request.param
    interpreters = [sys.executable, OTHER]
    trainer, reader = interpreters if request.param == "here" else interpreters[::-1]
    start(trainer, "train", folder)
    return folder, reader


@needs_other
def test_a_run_of_one_set_predicts_alike_in_the_other(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    folder, reader = trained
    start(reader, "predict", folder, tmp_path / "found.npz")
    assert_alike(tmp_path / "found.npz", folder / "expected.npz")


@needs_other
@pytest.mark.parametrize("index", INDEXES)
def test_an_export_of_one_set_is_served_by_the_other(
    trained: tuple[Path, str], index: str, tmp_path: Path
) -> None:
    folder, reader = trained
    version = INDEXES.index(index) + 1
    export = folder / f"semtf/{version}"
    start(reader, "serve", export, folder / "images.npz", tmp_path / "found.npz")
    assert_alike(tmp_path / "found.npz", folder / "expected.npz")


@needs_other
def test_a_run_of_one_set_is_exported_by_the_other(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    folder, reader = trained
    start(reader, "export", folder / "run", tmp_path / "semtf/1")
    start(reader, "serve", tmp_path / "semtf/1", folder / "images.npz", tmp_path / "found.npz")
    assert_alike(tmp_path / "found.npz", folder / "expected.npz")
