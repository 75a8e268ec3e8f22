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

from semtf.data.dataset import open_dataset
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.result import DepthResult
from semtf.manifest import write_manifest
from semtf.run import Run
from semtf.serving.saved_model.export import export
from semtf.serving.saved_model.warmup import read_warmup, write_warmup

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
    """Eight SEM images of the fab, uint8 [8, 72, 48], the last at half its brightness."""
    images = np.array(open_dataset(fab).test().images[::3])
    images[-1] //= 2
    return images


@pytest.fixture(scope="session")
def estimator(run: Run) -> Estimator:
    """The estimator that the export must agree with."""
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
        address = re.match(r"(http://[^/]+)/v1/models/(\w+)", line)
        assert address, self.log.read_text()
        self.url = address[1]
        self.model = f"{address[1]}/v1/models/{address[2]}"

    def post(self, document: Any, version: str = "") -> httpx.Response:
        """The response to a predict request; ``version`` is a part of the path."""
        url = f"{self.model}{version}:predict"
        return httpx.post(url, json=document, trust_env=False, timeout=60)

    def wait(self, version: int, state: str = "AVAILABLE") -> None:
        """Wait until a version is in a state."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            answer = httpx.get(f"{self.model}/versions/{version}", trust_env=False)
            versions = answer.json().get("model_version_status", [{}])
            if versions[0].get("state") == state:
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"version {version} is not {state}: {self.log.read_text()}")

    def wait_until_warm(self, version: int) -> None:
        """Wait until a version that started in a hurry has warmed up all signatures."""
        line = f'semtf_version_warm{{model="semtf",version="{version}"}} 1.0'
        end = time.monotonic() + START_SECONDS
        while line not in httpx.get(f"{self.url}/metrics", trust_env=False, timeout=60).text:
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

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
def serving(
    exact: Path, folder: Path, warm: Collection[str] = (), receive_timeout: int = 2
) -> Iterator[Server]:
    """A server of a copy of an export.

    ``warm`` are the signatures to warm up, all by default. A body must arrive within
    ``receive_timeout`` seconds.
    """
    model = folder / "semtf"
    shutil.copytree(exact, model / "1")
    if warm:
        requests = read_warmup(exact)
        write_warmup(model / "1", {name: requests[name] for name in warm})
        write_manifest(model / "1")
    options = ("--max-body=1", "--max-pending=16", "--label=stable=1")
    server = Server(model, *options, "--timeout=15", f"--receive-timeout={receive_timeout}")
    try:
        server.wait(1)
        server.wait_until_warm(1)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
