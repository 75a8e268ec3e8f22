"""A training process that is killed and started again ends in the same weights."""

import random
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from semtf.adapter_table import ADAPTERS

CODE = Path(__file__).with_name("train_process.py")
TRAINED = [name for name, info in ADAPTERS.items() if info.trained]


def weights(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return arrays


def killed(name: str, folder: Path, delay: float) -> bool:
    """Start training, kill it ``delay`` seconds after its next checkpoint; False if it ended."""
    process = subprocess.Popen([sys.executable, CODE, name, folder], stderr=subprocess.DEVNULL)
    checkpoint = folder / "checkpoint.npz"
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    while process.poll() is None:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
            time.sleep(delay)
            process.kill()
            break
        time.sleep(0.01)
    return process.wait() != 0


@pytest.mark.parametrize(
    ("name", "kills"),
    [*((name, 3) for name in TRAINED), pytest.param("cyclegan", 8, marks=pytest.mark.slow)],
)
def test_killed_training_ends_in_the_same_weights(name: str, kills: int, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run([sys.executable, CODE, name, whole], check=True, capture_output=True)
    delays = random.Random(kills)  # noqa: S311 - any delays will do
    assert sum(killed(name, parts, delays.uniform(0, 0.6)) for _ in range(kills)) >= 2
    subprocess.run([sys.executable, CODE, name, parts], check=True, capture_output=True)
    saved = sorted(path.name for path in whole.glob("*.weights.h5"))
    assert "to_target.weights.h5" in saved
    assert "target_critic.weights.h5" in saved
    for file in saved:
        first, second = weights(whole / file), weights(parts / file)
        assert first.keys() == second.keys()
        for path, value in first.items():
            np.testing.assert_array_equal(value, second[path], err_msg=f"{file} {path}")
    for file in ("history.csv", "criterion.csv", "choice.json"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file
    lines = (parts / "history.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(40))
