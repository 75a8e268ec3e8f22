"""What `semtf serve` survives: stopped and killed processes, new and broken versions, its end."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serving.conftest import START_SECONDS, Server, serving
from tests.serving.pngs import body

WARM = ("serving_default", "predict_png")
RECEIVE_SECONDS = 60
"""A busy machine must not look like a client that sends slowly."""


@pytest.fixture(scope="module")
def shared(exact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that `server` lends to one test after the other."""
    with serving(exact, tmp_path_factory.mktemp("changed"), WARM, RECEIVE_SECONDS) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """A server of version 1 alone, which tests may change; it is set right afterwards."""
    yield shared
    others = [folder for folder in versions(shared).iterdir() if folder.name != "1"]
    for folder in others:
        shutil.rmtree(folder)
    shared.wait(1)
    for number, state in states(shared).items():
        if number != 1 and state != "END":
            shared.wait(number, "END")


def versions(server: Server) -> Path:
    """The folder of versions."""
    return server.log.parent / "semtf"


def states(server: Server) -> dict[int, str]:
    entries = httpx.get(server.model, trust_env=False).json()["model_version_status"]
    return {int(entry["version"]): entry["state"] for entry in entries}


def latest(server: Server) -> str:
    """The version that is served by default."""
    metadata = httpx.get(f"{server.model}/metadata", trust_env=False).json()
    return str(metadata["model_spec"]["version"])


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; the REST interface tells a state, and cannot wait for one."""
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_stopped_worker_costs_its_requests_only(server: Server, images: np.ndarray) -> None:
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)

    def post(_: int) -> httpx.Response:
        return server.post(body(images[:1]))

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(post, range(20)))
    os.kill(worker, signal.SIGCONT)
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [429] * 4 + [504] * 16
    assert all("error" in reply.json() for reply in replies)
    assert post(0).status_code == 200


def test_a_new_version_takes_over_and_gives_way_when_deleted_without_a_failed_request(
    server: Server, images: np.ndarray
) -> None:
    model = versions(server)
    done = threading.Event()
    codes: list[int] = []

    def hammer() -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not done.is_set():
                codes.append(
                    client.post(f"{server.model}:predict", json=body(images[:2])).status_code
                )

    def wait_for_more_codes() -> None:
        count = len(codes) + 4
        wait_until(lambda: len(codes) >= count)

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(hammer) for _ in range(2)]
        try:
            shutil.copytree(model / "1", model / ".2")
            (model / ".2").rename(model / "2")
            server.wait(2)
            wait_for_more_codes()
            assert latest(server) == "2"
            # The label keeps version 1 loaded.
            assert len(server.workers()) == 2
            shutil.rmtree(model / "2")
            server.wait(2, "END")
            wait_for_more_codes()
        finally:
            done.set()
        for client in clients:
            client.result()
    assert set(codes) == {200}
    assert latest(server) == "1"
    assert len(server.workers()) == 1


def test_a_broken_version_leaves_the_old_one_serving(server: Server, images: np.ndarray) -> None:
    broken = versions(server) / "3"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"hello")
    server.wait(3, "END")
    status = httpx.get(f"{server.model}/versions/3", trust_env=False).json()
    (entry,) = status["model_version_status"]
    assert entry["status"]["error_code"] == "UNKNOWN"
    assert entry["status"]["error_message"]
    assert states(server)[1] == "AVAILABLE"
    assert latest(server) == "1"
    assert server.post(body(images[:1])).status_code == 200


def test_a_killed_worker_is_replaced(server: Server, images: np.ndarray) -> None:
    (killed,) = server.workers()
    os.kill(killed, signal.SIGKILL)

    def served_again() -> bool:
        answer = server.post(body(images[:1]))
        assert answer.status_code in (200, 503)
        assert answer.status_code == 200 or answer.json()["error"]
        return answer.status_code == 200

    wait_until(served_again)
    (worker,) = server.workers()
    assert worker != killed


def test_shutdown_answers_the_requests_under_way(
    exact: Path, images: np.ndarray, tmp_path: Path
) -> None:
    with serving(exact, tmp_path, WARM, RECEIVE_SECONDS) as server, ThreadPoolExecutor(1) as pool:
        workers = server.workers()
        repeated = np.repeat(images, 8, axis=0)
        request = pool.submit(server.post, body(repeated, signature_name="predict_png"))

        def pending() -> bool:
            text = httpx.get(f"{server.url}/metrics", trust_env=False).text
            return request.done() or "semtf_pending_requests 1.0" in text

        wait_until(pending)
        assert server.stop() == -signal.SIGTERM
        assert request.result().status_code == 200
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
