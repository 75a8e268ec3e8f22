"""Connections of HTTP clients: how long one may be silent, and how many there may be.

Uvicorn closes a connection that is idle between two requests, but waits for ever for the first
bytes of a request and for the rest of its head. Where no descriptor is left, the operating system
refuses everybody without a word; so there are fewer connections than descriptors.
"""

import asyncio
import sys
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEPT_DESCRIPTORS = 128
"""Descriptors for models' processes, files and libraries."""
MOST_CONNECTIONS = 16_384
GRACE_SECONDS = 0.05
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: 44\r\n\r\n"
    b'{"error": "too many connections; try again"}'
)

MOST_HEAD = 1 << 16
"""Bytes of the head of a request."""
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: 49\r\n\r\n"
    b'{"error": "the head of the request is too large"}'
)


def connections_allowed() -> int:
    """How many connections there may be, once this process has all descriptors it may have."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + KEPT_DESCRIPTORS
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return max(1, min(most, soft if soft > 0 else most) - KEPT_DESCRIPTORS)


class TimedProtocol(HttpToolsProtocol):
    """HTTP of one connection; see `timed_protocol`."""

    seconds: ClassVar[float]
    most: ClassVar[int]
    _timer: asyncio.TimerHandle | None = None
    _head: int | None = None
    """Bytes so far of a head that has begun and is not complete."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(REFUSAL)
            transport.close()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MOST_HEAD and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a client may ask for another protocol, and is answered in this one."""

    def on_message_begin(self) -> None:
        self._head = 0
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.seconds, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """Close soon: what came while this process was busy elsewhere is read first."""
        self._timer = self.loop.call_later(GRACE_SECONDS, self._close)

    def _close(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()


def timed_protocol(seconds: float, connections: int) -> type[asyncio.Protocol]:
    """A protocol for uvicorn.

    Args:
        seconds: that the head of a request may take, from the connection or its first byte on.
        connections: that there may be; more are refused with 503.
    """
    return type("Timed", (TimedProtocol,), {"seconds": seconds, "most": connections})
