"""Load on an HTTP server of this machine: a process of its own, bounded in time and requests.

    scripts/http_load.py URL BODIES --clients 32 --seconds 60 [--requests N] [--until FILE]

BODIES is a JSON array of strings, sent in turn. Prints JSON: requests by code, requests a second,
and percentiles of the time to an answer in milliseconds. `httpx` would cost more than the server.
"""

import argparse
import asyncio
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import uvloop


class Load:
    """Clients with one connection each; every one sends its next request after an answer."""

    def __init__(
        self, url: str, bodies: list[bytes], seconds: float, requests: int, until: Path | None
    ) -> None:
        parts = urlsplit(url)
        if not ipaddress.ip_address(parts.hostname or "").is_loopback:
            raise SystemExit(f"{url}: not a loopback address")
        self.host, self.port = str(parts.hostname), parts.port or 80
        self.messages = [
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            for body in bodies
        ]
        self.end = time.perf_counter() + seconds
        self.numbers: Iterator[int] = iter(range(requests))
        self.until = until
        self.codes: Counter[str] = Counter()
        self.times: list[float] = []

    async def client(self) -> None:
        """Send until the time is over or all requests are sent."""
        connection = None
        for number in self.numbers:
            start = time.perf_counter()
            if start > self.end or (self.until is not None and self.until.exists()):
                break
            message = self.messages[number % len(self.messages)]
            try:
                connection = connection or await asyncio.open_connection(self.host, self.port)
                code = await exchange(*connection, message)
            except (OSError, asyncio.IncompleteReadError) as error:
                code, connection = type(error).__name__, None
            self.codes[code] += 1
            self.times.append(time.perf_counter() - start)
        if connection:
            connection[1].close()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
) -> str:
    """Send a request, read the answer to its end, and return its code."""
    writer.write(message)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return head.split(b" ", 2)[1].decode()


async def run(load: Load, clients: int) -> dict[str, object]:
    start = time.perf_counter()
    await asyncio.gather(*(load.client() for _ in range(clients)))
    seconds = time.perf_counter() - start
    p50, p99 = 1e3 * np.percentile(load.times, [50, 99])
    sent = sum(load.codes.values())
    return {
        "codes": dict(load.codes),
        "requests": sent,
        "failed": sent - load.codes["200"],
        "a_second": sent / seconds,
        "p50": p50,
        "p99": p99,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--until", type=Path, help="also stop once this file is there")
    arguments = parser.parse_args()
    bodies = [body.encode() for body in json.loads(arguments.bodies.read_text())]
    seconds = min(arguments.seconds, 1800.0)
    load = Load(arguments.url, bodies, seconds, arguments.requests, arguments.until)
    print(json.dumps(uvloop.run(run(load, arguments.clients))))


if __name__ == "__main__":
    main()
