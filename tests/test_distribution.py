"""Trainings under MirroredStrategy, as on a machine with GPUs: real commands, in real processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from semtf.adaptation.epoch_selection import MARGIN
from semtf.adaptation.train import check_replicas
from semtf.config import AdaptationConfig
from semtf.distribution import check_batch, choose_strategy, follows, grow_memory
from semtf.errors import InputError
from semtf.run import Run

CODE = Path(__file__).with_name("devices_process.py")
KINDS = {
    "wgan-gp": ["--adapter", "cyclegan"],
    "lsgan": ["--adapter", "cyclegan", "--set", "adaptation.loss=lsgan"],
    "cut": ["--adapter", "cut"],
    "none": ["--adapter", "none"],
}
SMALL = {
    "adaptation.width": 4,
    "adaptation.batch": 4,
    "adaptation.first_epochs": 2,
    "adaptation.warm_up_steps": 1,
    "adaptation.other_epochs": 1,
    "adaptation.steps_per_epoch": 2,
    "classification.backbone": "small",
    "classification.epochs": 2,
    "classification.steps_per_epoch": 3,
    "retrieval.tune": "false",
}


def arguments(fab: Path, run: Path, kind: str, case: str = "1") -> list[str]:
    settings = [word for item in SMALL.items() for word in ("--set", "{}={}".format(*item))]
    return ["--data", str(fab), "--run", str(run), "--case", case, *KINDS[kind], *settings]


def train(folder: Path, **asked: Any) -> dict[str, Any]:
    """What `devices_process.py` prints, and ``err``, what the commands wrote."""
    file = folder / "asked.json"
    file.write_text(json.dumps(asked))
    done = subprocess.run(
        [sys.executable, CODE, file],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "err": done.stderr}


def weights(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize(
    ("replicas", "kind"),
    [
        pytest.param(1, "wgan-gp", marks=pytest.mark.slow),
        (2, "wgan-gp"),
        pytest.param(1, "cut", marks=pytest.mark.slow),
        pytest.param(2, "cut", marks=pytest.mark.slow),
        pytest.param(2, "lsgan", marks=pytest.mark.slow),
    ],
)
def test_every_adapter_trains_on_replicas_and_goes_on(
    replicas: int, kind: str, fab: Path, tmp_path: Path
) -> None:
    # A process trains once: the collective operations of a strategy that was interrupted would
    # meet those of the next one.
    whole = train(tmp_path, replicas=1, trainings=[arguments(fab, tmp_path / "one", kind)])
    begun = arguments(fab, tmp_path / "run", kind)
    stopped = train(tmp_path, replicas=replicas, stop=True, trainings=[begun])
    again = ["--run", str(tmp_path / "run"), "--data", str(fab), "--case", "1", "--resume"]
    resumed = train(tmp_path, replicas=replicas, trainings=[again])
    codes = [done["codes"] for done in (whole, stopped, resumed)]
    assert codes == [[0], [1], [0]], resumed["err"][-2000:]
    mirrored, alone = Run.open(tmp_path / "run"), Run.open(tmp_path / "one")
    assert mirrored.finished
    for table in ("history.csv", "criterion.csv"):
        found, expected = (pd.read_csv(r.adaptation(1) / table) for r in (mirrored, alone))
        pd.testing.assert_frame_equal(found, expected, rtol=2e-2, atol=2e-3)
    choice = json.loads((mirrored.adaptation(1) / "choice.json").read_text())
    scores = pd.read_csv(mirrored.adaptation(1) / "criterion.csv")["score"]
    near = scores[1:] <= (1 + MARGIN) * scores[1:].cummin()
    assert choice["epoch"] == near[near].index[-1]
    found, expected = (weights(r.adaptation(1) / "to_target.weights.h5") for r in (mirrored, alone))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-3, err_msg=name)
    assert np.isfinite(pd.read_csv(mirrored.classifier / "history.csv")["loss"]).all()


def test_gpus_are_taken_with_memory_that_grows(fab: Path, tmp_path: Path) -> None:
    # The classifier alone is trained: adapters on replicas have a test of their own.
    own = arguments(fab, tmp_path / "run", "none")
    second = arguments(fab, tmp_path / "run", "none", "2")
    done = train(tmp_path, replicas=2, gpu=True, trainings=[own])
    assert done["codes"] == [0], done["err"][-2000:]
    assert done["grown"]
    done = train(tmp_path, replicas=2, gpu=True, trainings=[second])
    assert done["codes"] == [0], done["err"][-2000:]
    run = Run.open(tmp_path / "run")
    assert run.finished
    assert run.cases == (1, 2)


def test_replicas_that_do_not_divide_the_batch_are_refused_at_once(
    fab: Path, tmp_path: Path
) -> None:
    own = arguments(fab, tmp_path / "run", "cut")
    fitting = [*own, "--set", "adaptation.batch=6"]
    cheap = ["--data", str(fab), "--run", str(tmp_path / "run"), "--adapter", "none"]
    done = train(tmp_path, replicas=3, trainings=[own, fitting, cheap])
    assert done["codes"] == [2, 2, 2]
    lines = [line for line in done["err"].splitlines() if line.startswith("error: ")]
    assert "adaptation.batch 4" in lines[0]
    assert "3 or 6" in lines[0]
    assert "on 1 or 2 of them" in lines[0]
    for line in lines[1:]:
        assert "classification.batch 32" in line
        assert "30 or 33" in line
    assert not (tmp_path / "run").exists()
    fit = [*fitting, "--set", "classification.batch=33"]
    done = train(tmp_path, replicas=3, trainings=[fit])
    assert done["codes"] == [0], done["err"][-2000:]
    history = pd.read_csv(tmp_path / "run/classifier/history.csv")
    assert np.isfinite(history["loss"]).all()


class Replicas:
    """As much of a strategy as a batch is checked against."""

    def __init__(self, count: int) -> None:
        self.num_replicas_in_sync = count


@pytest.mark.parametrize(
    ("batch", "replicas", "way"),
    [
        (16, 3, "set it to 15 or 18, or train on 1 or 2 of them"),
        (128, 6, "set it to 126 or 132, or train on 1 or 2 or 4 of them"),
        (2, 8, "set it to 8, or train on 1 or 2 of them"),
    ],
)
def test_the_numbers_that_fit_are_named(batch: int, replicas: int, way: str) -> None:
    with pytest.raises(InputError, match=way):
        check_batch("adaptation.batch", batch, Replicas(replicas))
    check_batch("adaptation.batch", batch * replicas, Replicas(replicas))


def test_spectral_normalisation_needs_one_device() -> None:
    config = AdaptationConfig(critic_norm="spectral")
    check_replicas(config, Replicas(1))
    with pytest.raises(InputError, match=r"critic_norm=spectral: .* take --strategy one"):
        check_replicas(config, Replicas(2))


def test_a_gpu_in_use_already_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow refuses with RuntimeError once it is initialised, with ValueError if split."""
    tf.zeros(1)
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: [gpu] if kind == "GPU" else []
    )
    with pytest.raises((RuntimeError, ValueError)):
        tf.config.experimental.set_memory_growth(gpu, True)
    grow_memory()
    assert isinstance(choose_strategy(), tf.distribute.MirroredStrategy)


def test_strategies_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, kind in (("auto", "_Default"), ("one", "_Default"), ("mirrored", "Mirrored")):
        assert type(choose_strategy(name)).__name__.startswith(kind)
    with pytest.raises(InputError, match="--strategy multiworker: TF_CONFIG names no cluster"):
        choose_strategy("multiworker")
    with pytest.raises(InputError, match="--strategy tpu: no TPU was found"):
        choose_strategy("tpu")
    two = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(two))
    assert follows("auto")
    assert not follows("one")
    two["task"]["index"] = 0
    monkeypatch.setenv("TF_CONFIG", json.dumps(two))
    assert not follows("multiworker")
