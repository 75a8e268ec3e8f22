"""A killed training goes on to the same bits; two replicas see what one sees."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semtf.classification.classifier import Classifier

# A process of its own: deterministic ops and logical devices are set before TensorFlow starts.
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

folder, epochs, replicas, resume = Path(sys.argv[1]), *map(int, sys.argv[2:5])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.experimental.enable_op_determinism()
from semtf.classification.train import train
from semtf.config import ClassificationConfig

generator = np.random.default_rng(0)
cases = np.repeat([1, 2], 60)
shade = np.where(np.arange(48) < 24, 150, 60 - 20 * cases[:, None])[:, None]
images = (shade + generator.normal(0, 10, (120, 72, 48))).clip(0, 212).astype(np.uint8)
sites = np.array([f"site_{i // 10}" for i in range(120)])
config = ClassificationConfig(
    backbone="small", batch=32, epochs=epochs, steps_per_epoch=6, learning_rate=5e-3,
    schedule=sys.argv[5], patience=1, cycle=4, flip=True, noise=2.0,
)
if config.schedule == "cosine":
    cases[::5] = 3 - cases[::5]  # What is wrongly labelled stays wrong: another cycle follows.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"][:replicas])
train(images, cases, sites, config, seed=1, folder=folder, strategy=strategy,
      resume=bool(resume))
"""


def start(
    folder: Path,
    *,
    epochs: int = 12,
    replicas: int = 1,
    resume: bool = False,
    schedule: str = "plateau",
):
    arguments = [str(folder), str(epochs), str(replicas), str(int(resume)), schedule]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier") / "whole"
    finish(start(folder))
    return folder


def rows(folder: Path) -> list[str]:
    path = folder / "history.csv"
    return path.read_text().splitlines() if path.exists() else []


def assert_a_killed_one_ends_alike(whole: Path, folder: Path, schedule: str) -> None:
    process = start(folder, schedule=schedule)
    while len(rows(folder)) < 8 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert (folder / "checkpoint.npz").exists()
    assert not (folder / "classifier.json").exists()
    finish(start(folder, resume=True, schedule=schedule))
    assert not (folder / "checkpoint.npz").exists()
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    found, expected = Classifier.load(folder), Classifier.load(whole)
    for a, b in zip(found.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (found.temperature, found.threshold) == (expected.temperature, expected.threshold)


def test_killed_training_ends_in_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    rates = pd.read_csv(uninterrupted / "history.csv")["learning_rate"]
    assert rates.nunique() > 1, "the plateau never halved the rate, so its resume is not tested"
    assert_a_killed_one_ends_alike(uninterrupted, tmp_path, "plateau")


def test_a_second_cycle_goes_on_after_a_kill(tmp_path: Path) -> None:
    finish(start(tmp_path / "whole", schedule="cosine"))
    assert len(rows(tmp_path / "whole")) == 1 + 4 + 8
    assert_a_killed_one_ends_alike(tmp_path / "whole", tmp_path / "killed", "cosine")


def test_two_replicas_train_like_one(uninterrupted: Path, tmp_path: Path) -> None:
    finish(start(tmp_path, replicas=2))
    one, two = (pd.read_csv(folder / "history.csv") for folder in (uninterrupted, tmp_path))
    # Batch normalisation sees half a batch on each replica, so the losses agree roughly only.
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=0.3, atol=0.02)
    generator = np.random.default_rng(0)
    images = np.repeat(np.array([40, 20]), 10)[:, None, None] * np.ones((20, 72, 48))
    images[:, :, :24] = 150
    images += generator.normal(0, 10, images.shape)
    for folder in (uninterrupted, tmp_path):
        cases = Classifier.load(folder).probabilities(images.clip(0, 212)).argmax(axis=1)
        np.testing.assert_array_equal(cases, np.repeat([0, 1], 10))
