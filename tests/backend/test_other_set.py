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
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was trained with one interpreter, and, in ``read``, what the other one made of it."""
    folder = tmp_path_factory.mktemp("sets") / request.param
    interpreters = [sys.executable, OTHER]
    trainer, reader = interpreters if request.param == "here" else interpreters[::-1]
    start(trainer, "train", folder)
    start(reader, "read", folder, folder / "read")
    return folder


@needs_other
@pytest.mark.parametrize("what", ["predict", *INDEXES, "exported"])
def test_what_one_set_trained_the_other_one_reads(folder: Path, what: str) -> None:
    """It predicts with the run, serves its exports, and exports it itself."""
    assert_alike(folder / f"read/{what}.npz", folder / "expected.npz")
