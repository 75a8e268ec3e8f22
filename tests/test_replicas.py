"""Real processes and devices that train together end where one replica ends on the joint batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import free_ports, worker_config

from tests import replicas_process
from tests.command import finish, start

CODE = "from tests.replicas_process import main; main()"
ALL = list(replicas_process.KINDS)


def train(folder: Path, kinds: list[str], *, workers: int = 1, devices: int = 0) -> None:
    """Have so many processes train together, and look at how they end."""
    asked = {"folder": str(folder), "kinds": kinds, "devices": devices}
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = [
        start(
            json.dumps(asked | ({"folder": str(folder / f"not {index}")} if index else {})),
            code=CODE,
            environment={} if devices else {"TF_CONFIG": worker_config(addresses, index)},
        )
        for index in range(workers)
    ]
    for process in processes:
        code, out, errors = finish(process)
        assert (code, out, errors) == (0, f"{devices or workers}\n", [])
    for index in range(1, workers):
        written = [path for path in (folder / f"not {index}").rglob("*") if path.is_file()]
        assert written == [], "a worker that is not the chief wrote"


@pytest.mark.parametrize(
    ("workers", "devices", "kinds"),
    [
        pytest.param(2, 0, ["batch norm", "stopped", "classifier"], marks=pytest.mark.slow),
        (1, 2, ["batch norm", "classifier"]),
        pytest.param(2, 0, ["lsgan", "cut"], marks=pytest.mark.slow),
        pytest.param(3, 0, ALL, marks=pytest.mark.slow),
        pytest.param(1, 4, ALL, marks=pytest.mark.slow),
    ],
)
def test_replicas_end_where_one_ends(
    workers: int, devices: int, kinds: list[str], tmp_path: Path
) -> None:
    train(tmp_path / "many", kinds, workers=workers, devices=devices)
    alone = tf.distribute.OneDeviceStrategy("/cpu:0")
    expected = replicas_process.train(kinds, tmp_path / "one", alone)
    # Another number of replicas goes on from where these were interrupted.
    resumed = [kind for kind in kinds if kind == "stopped"]
    gone_on = replicas_process.train(resumed, tmp_path / "many", alone)
    for kind in kinds:
        with np.load(tmp_path / "many" / f"{kind}.npz") as file:
            found = gone_on.get(kind) or [file[name] for name in file.files]
        assert len(found) == len(expected[kind]) > 10
        # Adapters compute in float64; what they log, and classifiers, are float32.
        close = 1e-5 if kind == "classifier" else 1e-6
        for index, (one, many) in enumerate(zip(expected[kind], found, strict=True)):
            np.testing.assert_allclose(many, one, rtol=close, atol=close, err_msg=f"{kind} {index}")
