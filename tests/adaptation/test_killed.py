"""A training process that is killed and started again ends in the same weights."""

import random
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

CODE = Path(__file__).with_name("train_process.py")
NETWORKS = {
    "cyclegan": ("to_target", "to_source", "target_critic", "source_critic"),
    "cut": ("to_target", "target_critic", "patch_heads"),
}


def weights(folder: Path, name: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(folder / f"{name}.weights.h5") as file:
        file.visititems(
            lambda path, item: (
                found.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def killed(kind: str, folder: Path, delay: float) -> bool:
    """Start training, kill it ``delay`` seconds after its next checkpoint; False if it ended."""
    process = subprocess.Popen([sys.executable, CODE, kind, folder], stderr=subprocess.DEVNULL)
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
    ("kind", "kills"),
    [("cyclegan", 3), ("cut", 3), pytest.param("cyclegan", 8, marks=pytest.mark.slow)],
)
def test_killed_training_ends_in_the_same_weights(kind: str, kills: int, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run([sys.executable, CODE, kind, whole], check=True, capture_output=True)
    delays = random.Random(kills)  # noqa: S311 - any delays will do
    assert sum(killed(kind, parts, delays.uniform(0, 0.6)) for _ in range(kills)) >= 2
    subprocess.run([sys.executable, CODE, kind, parts], check=True, capture_output=True)
    for name in NETWORKS[kind]:
        first, second = weights(whole, name), weights(parts, name)
        assert first.keys() == second.keys()
        for path, value in first.items():
            np.testing.assert_array_equal(value, second[path], err_msg=f"{name} {path}")
    for name in ("history.csv", "criterion.csv", "choice.json"):
        assert (whole / name).read_text() == (parts / name).read_text(), name
    lines = (parts / "history.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(40))
