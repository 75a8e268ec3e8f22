"""One small export and servers of it, for all tests of serving."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tensorflow as tf

from semtf.data.dataset import open_dataset
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.result import DepthResult
from semtf.run import Run
from semtf.serving.saved_model.export import export
from semtf.serving.saved_model.warmup import WARMUP, prediction_log, read_warmup

COMMAND = [sys.executable, "-c", "from semtf.cli.main import run; run()"]
START_SECONDS = 240.0


@pytest.fixture(scope="session")
def exact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version folder of an exact export; tests must not change it."""
    out = tmp_path_factory.mktemp("models") / "semtf" / "1"
    export(run.path, out, index="exact", check=False)
    return out


@pytest.fixture(scope="session")
def images(fab: Path) -> np.ndarray:
    """Eight SEM images of the fab, uint8 [8, 72, 48]."""
    return np.asarray(open_dataset(fab).test().images[::3])


@pytest.fixture(scope="session")
def estimator(run: Run) -> Estimator:
    """What the export must agree with."""
    return load(run.path, index="exact")


@pytest.fixture(scope="session")
def expected(estimator: Estimator, images: np.ndarray) -> DepthResult:
    """The estimates of `images`."""
    return estimator.predict(images)


class Server:
    """A `semtf serve` process."""

    def __init__(self, model: Path, *options: str) -> None:
        self.log = model.parent / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--model", str(model), "--port=0", "--poll=0.2", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        found = re.match(r"(http://[^/]+)/v1/models/(\w+)", line)
        assert found, self.log.read_text()
        self.url = found[1]
        self.model = f"{found[1]}/v1/models/{found[2]}"

    def post(self, document: Any, where: str = "") -> httpx.Response:
        """Answer to a predict request."""
        url = f"{self.model}{where}:predict"
        return httpx.post(url, json=document, trust_env=False, timeout=60)

    def wait(self, version: int, state: str = "AVAILABLE") -> None:
        """Wait until a version is in a state."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            answer = httpx.get(f"{self.model}/versions/{version}", trust_env=False)
            known = answer.json().get("model_version_status", [{}])
            if known[0].get("state") == state:
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"version {version} is not {state}: {self.log.read_text()}")

    def workers(self) -> list[int]:
        """The processes that hold models."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for children in tasks for pid in children.read_text().split()]

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture(scope="session")
def served(exact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits; tests must not change it."""
    with serving(exact, tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def serving(exact: Path, folder: Path, warm: Collection[str] = ()) -> Iterator[Server]:
    """A server of a copy of an export, ``warm`` being the signatures to warm up; all by default."""
    model = folder / "semtf"
    shutil.copytree(exact, model / "1")
    if warm:
        with tf.io.TFRecordWriter(str(model / "1" / WARMUP)) as writer:
            for name, inputs in read_warmup(exact):
                if name in warm:
                    writer.write(prediction_log(name, inputs))
    options = ("--max-body=1", "--max-pending=16", "--label=stable=1")
    server = Server(model, *options, "--timeout=15", "--receive-timeout=2")
    try:
        server.wait(1)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
