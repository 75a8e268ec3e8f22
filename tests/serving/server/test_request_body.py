"""Bodies of requests, received without a server."""

import asyncio
import gzip
from collections.abc import Iterator

import pytest
from starlette.requests import Request

from semtf.serving.server import request_body
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.request_body import receive

LIMIT = 1000


def request(*parts: bytes, stalled: bool = False, **headers: str) -> Request:
    """A request whose body comes in parts; one that is stalled never ends."""
    messages: Iterator[dict] = iter(
        [
            {"type": "http.request", "body": part, "more_body": stalled or i + 1 < len(parts)}
            for i, part in enumerate(parts)
        ]
    )

    async def next_message() -> dict:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": encoded}, next_message)


def received(request: Request, seconds: float = 5.0) -> bytes:
    return asyncio.run(receive(request, LIMIT, seconds))


def test_a_body_in_parts() -> None:
    assert received(request(b"ab", b"", b"c")) == b"abc"
    assert received(request(b"x" * LIMIT)) == b"x" * LIMIT


@pytest.mark.parametrize("encoding", ["gzip", "GZIP"])
def test_a_body_that_was_sent_as_gzip(encoding: str) -> None:
    assert received(request(gzip.compress(b"hello"), content_encoding=encoding)) == b"hello"
    members = gzip.compress(b"he") + gzip.compress(b"llo")
    assert received(request(members, content_encoding=encoding)) == b"hello"
    whole = gzip.compress(b"x" * LIMIT)
    assert received(request(whole[:9], whole[9:], content_encoding=encoding)) == b"x" * LIMIT


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (request(b"x" * (LIMIT + 1)), 413, "longer than 1000 bytes"),
        (request(b"x", content_length="1001"), 413, "longer than 1000 bytes"),
        (
            request(gzip.compress(b"x" * (LIMIT + 1)), content_encoding="gzip"),
            413,
            "longer than 1000 bytes when it is unpacked",
        ),
        (request(b"no gzip", content_encoding="gzip"), 400, "no gzip data"),
        (request(gzip.compress(b"hello")[:-4], content_encoding="gzip"), 400, "ends too early"),
        (request(b"x", content_encoding="br"), 415, "Content-Encoding br: send the body as it is"),
    ],
)
def test_bodies_that_are_refused(sent: Request, status: int, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        received(sent)
    assert refused.value.status == status


def test_members_without_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a copy of all that stands behind it."""
    monkeypatch.setattr(request_body, "MEMBERS", 3)
    member = gzip.compress(b"x")
    assert received(request(3 * member, content_encoding="gzip")) == b"xxx"
    with pytest.raises(RequestError, match="more than 3 members") as refused:
        received(request(4 * member, content_encoding="gzip"))
    assert refused.value.status == 413


def test_a_body_that_does_not_come() -> None:
    with pytest.raises(RequestError, match="did not arrive within") as refused:
        received(request(b"begin", stalled=True), seconds=0.01)
    assert refused.value.status == 408
