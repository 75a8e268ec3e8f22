"""Connections that say nothing, slowly, or are too many: real sockets, and no model."""

import asyncio
import contextlib
import gzip
import json
import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop

from semtf.serving.server.connections import (
    KEPT_DESCRIPTORS,
    REFUSAL,
    connections_allowed,
    timed_protocol,
)
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.predicting import Limits
from semtf.serving.server.request_body import accepts_gzip
from semtf.serving.server.rest import MAX_LISTS
from semtf.serving.server.version import Options
from tests.serving.server.fake_server import FLOATS, fake_models, listening
from tests.serving.server.fake_worker import FakeWorker
from tests.serving.server.test_versions import add

HEAD_SECONDS = 0.5


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The application with a fake worker, for at most three connections."""
    folder = tmp_path_factory.mktemp("m")
    add(folder, 1)

    def worker() -> FakeWorker:
        made = FakeWorker(FLOATS)
        made.pid = os.getpid()
        return made

    config = ModelConfig("m", folder, Options(window=0.0))
    models = fake_models(config, worker, Limits(body=4 << 20, instances=5000))
    protocol = timed_protocol(HEAD_SECONDS, 3)
    with listening(*models, http=protocol, log_level="error", timeout_keep_alive=75) as port:
        yield port


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def post(port: int, content: bytes, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{port}/v1/models/m:predict"
    return httpx.post(url, content=content, headers=headers, trust_env=False, timeout=60)


@pytest.mark.parametrize("sent", [b"", b"GET /v1/models/m HTTP/1.1\r\nHost: loc"])
def test_a_connection_without_a_whole_head_is_closed(port: int, sent: bytes) -> None:
    with connected(port) as connection:
        connection.sendall(sent)
        start = time.monotonic()
        assert connection.recv(1000) == b""
        assert time.monotonic() - start > HEAD_SECONDS / 2


def test_a_head_without_end_is_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /v1/models/m HTTP/1.1\r\nHost: localhost\r\nX: ")
        with contextlib.suppress(OSError):
            for _ in range(64):
                connection.sendall(b"x" * (1 << 16))
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000).startswith(b"HTTP/1.1 431 ")
    long = b'{"signature_name": "' + b"s" * 10**6 + b'", "instances": [1.0]}'
    assert len(post(port, long).content) < 400
    keyed = b'{"instances": [{"' + b"k" * 10**6 + b'": 1.0}]}'
    assert len(post(port, keyed).content) < 600


def test_another_protocol_is_not_spoken_and_not_logged(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for protocol in ("websocket", "h2c"):
        headers = {"Connection": "Upgrade", "Upgrade": protocol}
        url = f"http://127.0.0.1:{port}/v1/models/m"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
    assert caplog.text == ""


def test_a_second_head_on_a_connection_must_come_in_time_as_well(port: int) -> None:
    request = b"GET /v1/models/m HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(port) as connection:
        connection.sendall(request)
        assert connection.recv(100_000).startswith(b"HTTP/1.1 200 OK")
        time.sleep(2 * HEAD_SECONDS)  # it may be idle for longer between two requests
        connection.sendall(request)
        assert connection.recv(100_000).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(request[:20])
        assert connection.recv(1000) == b""


def test_what_came_while_the_server_was_busy_is_answered() -> None:
    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    async def late() -> bytes:
        settings = uvicorn.Config(
            answer, port=0, http=timed_protocol(HEAD_SECONDS, 3), lifespan="off", log_level="error"
        )
        server = uvicorn.Server(settings)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        address = server.servers[0].sockets[0].getsockname()
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.create_connection(address, timeout=20) as connection:
            await asyncio.sleep(HEAD_SECONDS / 5)

            def be_busy() -> None:
                asyncio.get_running_loop().remove_reader(ours)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                time.sleep(1.5 * HEAD_SECONDS)

            asyncio.get_running_loop().add_reader(ours, be_busy)
            theirs.sendall(b"now")
            await asyncio.sleep(2 * HEAD_SECONDS)
            server.should_exit = True
            await serving
            return connection.recv(1000)

    # This loop, the server's own, calls timers before it reads.
    with contextlib.closing(uvloop.new_event_loop()) as loop:
        assert loop.run_until_complete(late()).startswith(b"HTTP/1.1 200 OK")


def test_too_many_connections_are_told_so(port: int) -> None:
    head, _, body = REFUSAL.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert "error" in json.loads(body)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(port)).sendall(b"GET ")
        time.sleep(0.1)
        with connected(port) as fourth:
            assert fourth.recv(1000) == REFUSAL
    time.sleep(0.1)
    assert post(port, b'{"instances": [1.0]}').json() == {"predictions": [10.0]}


def test_there_are_more_descriptors_than_connections() -> None:
    allowed = connections_allowed()
    assert allowed + KEPT_DESCRIPTORS <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_more_lists_than_can_be_parsed_in_time_are_refused_at_once(port: int) -> None:
    start = time.monotonic()
    refused = post(port, b'{"instances": [' + b"[]," * MAX_LISTS + b"[]]}")
    assert time.monotonic() - start < 5
    assert refused.status_code == 413
    assert "lists and objects are too many" in refused.json()["error"]


def test_a_body_far_beyond_the_limit_is_answered(port: int) -> None:
    """150 MB to a server that takes 4: the answer arrives, and the connection is not reset."""

    def parts() -> Iterator[bytes]:
        for _ in range(150):
            yield b"x" * (1 << 20)

    url = f"http://127.0.0.1:{port}/v1/models/m:predict"
    answer = httpx.post(url, content=parts(), trust_env=False, timeout=120)
    assert answer.status_code == 413


def test_answers_are_packed_for_those_who_take_gzip(port: int) -> None:
    content = json.dumps({"instances": [float(i) for i in range(3000)]}).encode()
    with connected(port) as connection:
        head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += b"Accept-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(content)
        connection.sendall(head + content)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    predictions = json.loads(gzip.decompress(body))["predictions"]
    assert predictions == [10.0 * i for i in range(3000)]
    plain = post(port, content, **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json()["predictions"] == predictions


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("*", True),
    ],
)
def test_accept_encoding(header: str, taken: bool) -> None:
    assert accepts_gzip(header) is taken


def test_metrics_have_the_names_of_tensorflow_serving(port: int) -> None:
    post(port, b'{"instances": [2.0]}')
    post(port, b'{"instances": [true]}')
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"}' in text
    assert ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"}' in text
    assert ':tensorflow:serving:request_latency_count{model_name="m"}' in text
    assert 'semtf_model_version{model="m"} 1.0' in text
    (memory,) = re.findall(r'semtf_worker_resident_bytes{model="m",version="1"} (\S+)', text)
    assert float(memory) > 1 << 20
    assert 'semtf_version_warm{model="m",version="1"} 1.0' in text
