"""What `semtf serve` survives: stopped and killed processes, new and broken versions, its end."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.conftest import Server, serving
from tests.serving.pngs import body


@pytest.fixture(scope="module")
def server(exact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests, in their order, change."""
    warm = ("serving_default", "predict_png")
    with serving(exact, tmp_path_factory.mktemp("changed"), warm) as server:
        yield server


def test_a_stopped_worker_costs_its_requests_only(server: Server, images: np.ndarray) -> None:
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)

    def ask(_: int) -> httpx.Response:
        return server.post(body(images[:1]))

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(ask, range(20)))
    os.kill(worker, signal.SIGCONT)
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [429] * 4 + [504] * 16
    assert all("error" in reply.json() for reply in replies)
    assert ask(0).status_code == 200


def test_new_versions_take_over_without_a_failed_request(
    server: Server, images: np.ndarray
) -> None:
    model = server.log.parent / "semtf"
    done = threading.Event()
    codes: list[int] = []

    def hammer() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not done.is_set():
                codes.append(
                    client.post(f"{server.model}:predict", json=body(images[:2])).status_code
                )

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(hammer) for _ in range(2)]
        try:
            shutil.copytree(model / "1", model / ".2")
            (model / ".2").rename(model / "2")
            server.wait(2)
            before = len(codes)
            while len(codes) < before + 4:
                time.sleep(0.05)
        finally:
            done.set()
        for one in asked:
            one.result()
    assert set(codes) == {200}
    latest = httpx.get(f"{server.model}/metadata", trust_env=False).json()
    assert latest["model_spec"]["version"] == "2"
    # The label keeps version 1 loaded.
    assert len(server.workers()) == 2


def test_a_broken_version_leaves_the_old_one_serving(server: Server, images: np.ndarray) -> None:
    broken = server.log.parent / "semtf" / "3"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"hello")
    server.wait(3, "END")
    states = httpx.get(server.model, trust_env=False).json()["model_version_status"]
    assert [(state["version"], state["state"]) for state in states] == [
        ("3", "END"),
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]
    assert states[0]["status"]["error_code"] == "UNKNOWN"
    assert states[0]["status"]["error_message"]
    answer = server.post(body(images[:1]))
    assert answer.status_code == 200
    shutil.rmtree(broken)


def test_a_killed_worker_is_replaced(server: Server, images: np.ndarray) -> None:
    for worker in server.workers():
        os.kill(worker, signal.SIGKILL)
    codes = set()
    end = time.monotonic() + 240
    while codes != {200} and time.monotonic() < end:
        answer = server.post(body(images[:1]))
        codes = {answer.status_code}
        assert answer.status_code in (200, 503)
        assert answer.status_code == 200 or answer.json()["error"]
        time.sleep(0.1)
    assert codes == {200}


def test_a_deleted_version_gives_way_to_the_one_before(server: Server) -> None:
    shutil.rmtree(server.log.parent / "semtf" / "2")
    server.wait(2, "END")
    latest = httpx.get(f"{server.model}/metadata", trust_env=False).json()
    assert latest["model_spec"]["version"] == "1"
    assert len(server.workers()) == 1


def test_shutdown_answers_what_was_asked(server: Server, images: np.ndarray) -> None:
    workers = server.workers()
    with ThreadPoolExecutor(1) as pool:
        many = np.repeat(images, 8, axis=0)
        asked = pool.submit(server.post, body(many, signature_name="predict_png"))
        time.sleep(0.3)
        assert server.stop() == -signal.SIGTERM
        assert asked.result().status_code == 200
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
