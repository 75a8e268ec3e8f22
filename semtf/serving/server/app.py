"""The web application: TensorFlow Serving's REST contract, metrics, and the page."""

import asyncio
import contextlib
import hmac
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from semtf.errors import InputError
from semtf.serving.saved_model.export_metadata import read_export_metadata
from semtf.serving.server import answers
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.measure_route import measurements
from semtf.serving.server.metrics import CONTENT_TYPE, Metrics
from semtf.serving.server.rest import parse_json, read_request
from semtf.serving.server.versions import Versions

log = logging.getLogger("semtf.serving")
PAGE = Path(__file__).parents[1] / "page"
VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
PREDICT = re.compile(rf"(?i)/v1/models/(?P<name>[^/:]+){VERSION}:(?P<method>[a-z]+)")
STATUS = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{VERSION}(?P<metadata>/metadata)?")
INLINE_BYTES = 1 << 18
"""A longer body is parsed in a thread, so that it does not keep other requests waiting."""
DISCARDED = 64 << 20
"""Bytes beyond the limit that are read and thrown away: a client that is still sending when the
connection closes would never see why."""
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}


@dataclass(frozen=True)
class Limits:
    """What one client may ask for.

    Attributes:
        body: bytes of a request.
        instances: instances of a request.
        pending: predict requests under way; more are refused with 429.
        receiving: seconds that a body may take to arrive; then 408.
        answering: seconds that the model may take; then 504.
    """

    body: int = 32 << 20
    instances: int = 256
    pending: int = 256
    receiving: float = 30.0
    answering: float = 30.0


class Api:
    """The handlers of ``/v1/models…``."""

    def __init__(
        self, versions: Versions, limits: Limits, metrics: Metrics, token: str | None
    ) -> None:
        self.versions = versions
        self.limits = limits
        self.metrics = metrics
        self._token = None if token is None else f"Bearer {token}".encode()
        self._pending = 0
        self._measuring = asyncio.Lock()

    async def __call__(self, request: Request) -> Response:
        """Answer a request of the contract; every failure has a JSON body that says why."""
        kind = "predict" if request.method == "POST" else "status"
        return await self._reply(request, kind, self._answer)

    async def measure(self, request: Request) -> Response:
        """Measure depth maps; see `semtf.serving.server.measure_route`."""
        return await self._reply(request, "measure", self._measured)

    async def _reply(
        self, request: Request, kind: str, answer: Callable[[Request], Awaitable[bytes]]
    ) -> Response:
        headers = {}
        try:
            self._authorise(request)
            status, body = 200, await answer(request)
        except RequestError as error:
            status, body = error.status, answers.error(str(error))
            if status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            if status in (429, 503):
                headers["Retry-After"] = "1"
            if status in (408, 413):
                headers["Connection"] = "close"
        except ClientDisconnect:
            status, body = 499, answers.error("the client went away")
        except Exception:  # the server must go on, and its client must be told something
            log.exception("%s %s failed", request.method, request.url.path)
            status, body = 500, answers.error("the server failed; its log says why")
        self.metrics.requests.labels(kind, str(status)).inc()
        return Response(body, status, headers, "application/json")

    def _authorise(self, request: Request) -> None:
        if self._token is None:
            return
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._token):
            raise RequestError(401, "a bearer token is needed: Authorization: Bearer TOKEN")

    async def _measured(self, request: Request) -> bytes:
        body = await self._body(request)
        async with self._measuring:  # one at a time: it takes the processor from other requests
            return await asyncio.to_thread(measurements, body)

    async def _answer(self, request: Request) -> bytes:
        path = request.url.path
        if request.method == "POST" and (match := PREDICT.fullmatch(path)):
            method = match["method"].lower()
            if method in ("classify", "regress"):
                raise RequestError(501, f":{method} takes tf.Example; send images to :predict")
            if method == "predict":
                return await self._limited(request, match)
        if request.method == "GET" and (match := STATUS.fullmatch(path)):
            return self._describe(match)
        raise RequestError(400, f"Malformed request: {request.method} {path}")

    def _describe(self, match: re.Match[str]) -> bytes:
        if not match["name"]:
            raise RequestError(400, "Missing model name in request.")
        number, label = _version(match)
        self._check_name(match["name"], number, served=bool(match["metadata"]))
        if match["metadata"]:
            version = self.versions.find(number, label)
            if version.worker is None:
                raise RequestError(503, f"version {version.number} is being loaded again")
            return answers.metadata(
                self.versions.name, version.number, version.worker.signature_def
            )
        if label is not None:
            number = self.versions.find(None, label).number
        return answers.status(self.versions.states(number))

    def _check_name(self, given: str, number: int | None, *, served: bool) -> None:
        name = unquote(given)
        if name == self.versions.name:
            return
        wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
        if served:
            raise RequestError(404, f"Servable not found for request: {wanted}")
        missing = "any versions" if number is None else f"version {number}"
        raise RequestError(404, f"Could not find {missing} of model {name}")

    async def _limited(self, request: Request, match: re.Match[str]) -> bytes:
        if self._pending >= self.limits.pending:
            raise RequestError(
                429, f"{self._pending} requests are under way, which is the limit; try again"
            )
        self._pending += 1
        self.metrics.pending.inc()
        try:
            return await self._predict(request, match)
        finally:
            self._pending -= 1
            self.metrics.pending.dec()

    async def _predict(self, request: Request, match: re.Match[str]) -> bytes:
        start = time.perf_counter()
        body = await self._body(request)
        small = len(body) <= INLINE_BYTES
        document = parse_json(body) if small else await asyncio.to_thread(parse_json, body)
        number, label = _version(match)
        self._check_name(match["name"], number, served=True)
        version = self.versions.find(number, label)
        if version.worker is None:
            raise RequestError(503, f"version {version.number} is being loaded again")
        arguments = (document, version.worker.signature_def, self.limits.instances)
        if small:
            asked = read_request(*arguments)
        else:
            asked = await asyncio.to_thread(read_request, *arguments)
        seconds = self.limits.answering
        try:
            async with asyncio.timeout(seconds):
                outputs = await version.ask(asked.signature, asked.tensors)
        except TimeoutError:
            raise RequestError(504, f"Timed out: no answer within {seconds:g} s") from None
        answer = answers.predictions(outputs, asked.rows)
        self.metrics.seconds.labels(asked.signature).observe(time.perf_counter() - start)
        return answer

    async def _body(self, request: Request) -> bytes:
        seconds, most = self.limits.receiving, self.limits.body
        too_long = RequestError(413, f"the body is longer than {most} bytes")
        length = request.headers.get("content-length", "0")
        declared = int(length) if length.isdecimal() else 0
        if declared > most and "expect" in request.headers:
            raise too_long  # this client waits for a word before it sends
        parts, received = [], 0
        try:
            async with asyncio.timeout(seconds):
                async for part in request.stream():
                    received += len(part)
                    if received > most + DISCARDED:
                        break
                    if max(received, declared) <= most:
                        parts.append(part)
        except TimeoutError:
            raise RequestError(408, f"the body did not arrive within {seconds:g} s") from None
        if max(received, declared) > most:
            raise too_long
        return b"".join(parts)


def _version(match: re.Match[str]) -> tuple[int | None, str | None]:
    number, label = match["version"], match["label"]
    if number is not None and int(number) >= 2**63:
        raise RequestError(400, f"Failed to convert version: {number} to numeric.")
    return (
        None if number is None else int(number),
        None if label is None else unquote(label),
    )


def application(
    versions: Versions, limits: Limits, metrics: Metrics, token: str | None = None
) -> Starlette:
    """The application; it watches the versions while it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watcher = asyncio.create_task(versions.watch())
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            await versions.close()

    async def show_metrics(_: Request) -> Response:
        with contextlib.suppress(RequestError):
            metrics.version.set(versions.latest().number)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def describe(_: Request) -> Response:
        note = {}
        with contextlib.suppress(RequestError, InputError):
            note = read_export_metadata(versions.latest().folder)
        known = {name: note[name] for name in ("cases", "image") if name in note}
        return JSONResponse({"model": versions.name, **known})

    api = Api(versions, limits, metrics, token)
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    routes: list[Route | Mount] = [
        Route("/metrics", show_metrics),
        Route("/monitoring/prometheus/metrics", show_metrics),
        Route("/measure", api.measure, methods=["POST"]),
        Route("/page.json", describe),
        Route("/v1/{path:path}", api.__call__, methods=methods),
    ]
    if PAGE.is_dir():
        routes.append(Mount("/", _Page(directory=PAGE, html=True)))
    return Starlette(routes=routes, lifespan=lifespan)


class _Page(StaticFiles):
    """The files of the page, with headers that keep it to itself."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(SECURITY)
        return response
