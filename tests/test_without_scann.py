"""The main path where ScaNN cannot be imported: train, load, predict and export."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semtf.estimation.estimator import load

MAIN_PATH = """
import sys
sys.modules["scann"] = None  # importing it is now an ImportError

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

import semtf
from semtf.presets import preset
from semtf.errors import InputError

fab, work = Path(sys.argv[1]), Path(sys.argv[2])
config = preset("quick").with_settings(
    {"adaptation.adapter": "none", "classification.backbone": "statistics"}
)
run = semtf.train(fab, 2, run=work / "run", config=config)

# As a run says it that was trained with ScaNN.
settings = run.storage(2) / "retrieval.json"
values = json.loads(settings.read_text())
assert values["index"] == "auto"
settings.write_text(json.dumps({**values, "index": "scann"}))
run.finish()

images = np.load(run.storage(2) / "keys.npy")[:5]
result = semtf.load(run.path).predict(images)
np.save(work / "depth.npy", result.depth)
try:
    semtf.load(run.path, index="scann")
except InputError as error:
    print(error)
semtf.export(run.path, work / "1", index="exact", check=False)
model = tf.saved_model.load(str(work / "1"))
depth = model.signatures["predict_float"](images=tf.constant(images, tf.float32))["depth"]
np.testing.assert_allclose(depth, result.depth, atol=1e-3)
"""


@pytest.fixture(scope="module")
def done(
    fab: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The folder that the main path worked in, and the process."""
    work = tmp_path_factory.mktemp("without_scann")
    command = [sys.executable, "-c", MAIN_PATH, str(fab), str(work)]
    process = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    return work, process


def test_the_main_path_takes_the_exact_index_and_says_so_once(
    done: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    work, process = done
    assert process.returncode == 0, process.stderr
    lines = [line for line in process.stderr.splitlines() if "exact index" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: the exact index searches in place of ScaNN's")
    # What is asked for by name is not replaced.
    assert 'index="exact"' in process.stdout
    assert not (work / "run" / "storage" / "case_2" / "scann").exists()


def test_such_a_run_gives_the_same_with_scann(
    done: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    work, _ = done
    keys = np.load(work / "run" / "storage" / "case_2" / "keys.npy")[:5]
    estimator = load(work / "run")
    assert type(estimator.models.retrievers[2].index).__name__ == "ScannIndex"
    depth = estimator.predict(keys).depth
    np.testing.assert_allclose(depth, np.load(work / "depth.npy"), atol=1e-3)
