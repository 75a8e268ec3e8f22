"""The body of a request: received within bounds of time and size, and unpacked."""

import asyncio
import zlib

from starlette.requests import Request

from semtf.serving.server.deadline import timeout
from semtf.serving.server.json_tensor import RequestError

MEMBERS = 64
"""Members of gzip data: what stands behind each of them is copied."""
DISCARDED = 1 << 30
"""Bytes beyond the limit that are read and thrown away: a client that is still sending when the
connection closes does not read the response, which says why."""


async def receive(request: Request, limit: int, seconds: float) -> bytes:
    """The body of a request, unpacked where it was sent as gzip.

    Args:
        request: the request.
        limit: most bytes, before and after unpacking.
        seconds: how long it may take to arrive.

    Raises:
        RequestError: 408 or 413 where it exceeds them, 415 for another encoding, 400 where it
            cannot be unpacked.
        ClientDisconnect: the client went away.
    """
    too_long = RequestError(413, f"the body is longer than {limit} bytes")
    length = request.headers.get("content-length", "0")
    declared = int(length) if length.isdecimal() else 0
    if declared > limit and "expect" in request.headers:
        # A client with "Expect: 100-continue" sends its body only when it is told to, so
        # there is nothing to read and throw away.
        raise too_long
    parts, received = [], 0
    try:
        async with timeout(seconds):
            async for part in request.stream():
                received += len(part)
                if received > limit + DISCARDED:
                    break
                if max(received, declared) <= limit:
                    parts.append(part)
    except TimeoutError:
        raise RequestError(408, f"the body did not arrive within {seconds:g} s") from None
    if max(received, declared) > limit:
        raise too_long
    body = b"".join(parts)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "gzip":
        return await asyncio.to_thread(_inflated, body, limit)
    if encoding != "identity":
        raise RequestError(415, f"Content-Encoding {encoding}: send the body as it is, or gzip")
    return body


def accepts_gzip(header: str) -> bool:
    """Whether an ``Accept-Encoding`` takes gzip."""
    for choice in header.lower().split(","):
        coding, _, quality = choice.replace(" ", "").partition(";q=")
        if coding in ("gzip", "*"):
            return not quality or quality.strip("0.") != ""
    return False


def _inflated(body: bytes, limit: int) -> bytes:
    """A body that was sent compressed; raises RequestError where it is none or too long."""
    parts: list[bytes] = []
    left = limit
    while body:  # gzip data may have several members, one behind the other
        if len(parts) == MEMBERS:
            raise RequestError(413, f"the body has more than {MEMBERS} members of gzip data")
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            parts.append(stream.decompress(body, left + 1))
        except zlib.error as error:
            raise RequestError(400, f"the body is no gzip data ({error})") from error
        left -= len(parts[-1])
        if left < 0:
            raise RequestError(413, f"the body is longer than {limit} bytes when it is unpacked")
        if not stream.eof:
            raise RequestError(400, "the body is no gzip data (it ends too early)")
        body = stream.unused_data
    return b"".join(parts)
