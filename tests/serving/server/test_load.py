"""Many clients, some rude, and new versions meanwhile: no request fails that should have worked.

The workers are fake, so this is the server's part: connections, versions, batches.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from http_load import Load

from semtf.serving.server.connections import timed_protocol
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.predicting import Limits
from semtf.serving.server.version import Options
from tests.serving.server.fake_server import FLOATS, fake_models, listening
from tests.serving.server.fake_worker import FakeWorker
from tests.serving.server.test_versions import add

CLIENTS, SWAPS = 64, 3
HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
RUBBISH = b"\x16\x03\x01 no HTTP at all\r\n\r\n"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a server and its folder of versions."""
    folder = tmp_path / "m"
    folder.mkdir()
    add(folder, 1)

    config = ModelConfig("m", folder, Options(poll=0.05))
    models = fake_models(config, lambda: FakeWorker(FLOATS), Limits(receiving=1.0), poll=0.05)
    with listening(*models, http=timed_protocol(1.0, 1000), log_level="critical") as port:
        yield port, folder


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1/models/m"


def be_rude(port: int, end: threading.Event) -> None:
    """Begin requests and leave, send slowly, send rubbish."""
    for turn in range(10_000):
        if end.is_set():
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall((HEAD + b'{"inst', RUBBISH, HEAD[: turn % 60])[turn % 3])
            end.wait(0.05)


def bear(port: int, folder: Path, seconds: float, swaps: int) -> Load:
    """The load that a server bore, with rude clients and swaps of versions beside it."""
    end = threading.Event()
    rude = [threading.Thread(target=be_rude, args=(port, end)) for _ in range(3)]
    load = Load(f"{url(port)}:predict", [b'{"instances": [1.0, 2.0]}'], seconds, 10**7, None)

    async def swap() -> None:
        for number in range(2, swaps + 2):
            await asyncio.sleep(seconds / (swaps + 1))
            await asyncio.to_thread(add, folder, number)

    async def all_clients() -> None:
        await asyncio.gather(swap(), *(load.client() for _ in range(CLIENTS)))

    for thread in rude:
        thread.start()
    try:
        asyncio.run(all_clients())
    finally:
        end.set()
        for thread in rude:
            thread.join()
    return load


def test_no_request_fails_beside_rude_clients_and_swaps(served: tuple[int, Path]) -> None:
    port, folder = served
    load = bear(port, folder, 3.0, SWAPS)
    assert set(load.codes) == {"200"}
    assert load.codes["200"] > CLIENTS
    status = httpx.get(url(port), trust_env=False, timeout=60).json()["model_version_status"]
    states = {int(entry["version"]): entry["state"] for entry in status}
    assert max(states) == SWAPS + 1
    assert states[SWAPS + 1] == "AVAILABLE"
    assert states[1] == "END"


@pytest.mark.slow
def test_five_minutes_and_twenty_swaps_take_no_memory(served: tuple[int, Path]) -> None:
    port, folder = served
    bear(port, folder, 20.0, 0)
    before = psutil.Process().memory_info().rss
    load = bear(port, folder, 300.0, 20)
    assert set(load.codes) == {"200"}
    grown = psutil.Process().memory_info().rss - before
    p99 = 1e3 * float(np.percentile(load.times, 99))
    print(f"{load.codes['200']} requests, none failed, p99 {p99:.0f} ms, {grown / 1e6:+.1f} MB")
    assert grown < (64 << 20) + 100 * len(load.times)
