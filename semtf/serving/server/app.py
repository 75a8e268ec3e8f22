"""The web application: TensorFlow Serving's REST contract, metrics, and the page."""

import asyncio
import contextlib
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from semtf.errors import InputError
from semtf.serving.saved_model.export_metadata import read_export_metadata
from semtf.serving.server.addresses import is_loopback
from semtf.serving.server.json_tensor import MAX_SHOWN, RequestError
from semtf.serving.server.measure_route import measurements
from semtf.serving.server.metrics import CONTENT_TYPE, Metrics
from semtf.serving.server.page_files import PAGE, Page
from semtf.serving.server.request_body import receive
from semtf.serving.server.rest import (
    error_response,
    may_hold_booleans,
    metadata_response,
    parse_json,
    predict_response,
    read_request,
    status_response,
)
from semtf.serving.server.versions import Versions

log = logging.getLogger("semtf.serving")
VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
PREDICT = re.compile(rf"(?i)/v1/models/(?P<name>[^/:]+){VERSION}:(?P<method>[a-z]+)")
STATUS = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{VERSION}(?P<metadata>/metadata)?")
INLINE_BYTES = 1 << 18
"""A longer body is parsed in a thread, so that it does not keep other requests waiting."""


@dataclass(frozen=True)
class Limits:
    """The limits of requests.

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
        self,
        versions: Versions,
        limits: Limits,
        metrics: Metrics,
        token: str | None,
        local_only: bool,
    ) -> None:
        self.versions = versions
        self.limits = limits
        self.metrics = metrics
        self._token = None if token is None else token.encode()
        self._local_only = local_only
        self._pending = 0
        self._measuring = asyncio.Lock()

    async def __call__(self, request: Request) -> Response:
        """Answer a request of the contract; every failure has a JSON body that says why."""
        kind = "predict" if request.method == "POST" else "status"
        return await self._respond(request, kind, self._body_for)

    async def measure(self, request: Request) -> Response:
        """Measure depth maps; see `semtf.serving.server.measure_route`."""
        return await self._respond(request, "measure", self._measurements)

    async def _respond(
        self, request: Request, kind: str, body_for: Callable[[Request], Awaitable[bytes]]
    ) -> Response:
        headers = {}
        try:
            self._authorise(request)
            status, body = 200, await body_for(request)
        except RequestError as error:
            status, body = error.status, error_response(str(error))
            if status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            if status in (429, 503):
                headers["Retry-After"] = "1"
            if status in (408, 413):
                headers["Connection"] = "close"
        except ClientDisconnect:
            status, body = 499, error_response("the client went away")
        except Exception:  # the server goes on, and its client learns that it failed
            log.exception("%s %s failed", request.method, request.url.path)
            status, body = 500, error_response("the server failed; its log says why")
        self.metrics.requests.labels(kind, str(status)).inc()
        return Response(body, status, headers, "application/json")

    def _authorise(self, request: Request) -> None:
        # A page of another site can make a browser ask a name of that site's own, which its
        # name server then gives this machine's address: the name is in the request's Host.
        host = request.url.hostname or ""
        if self._local_only and not is_loopback(host):
            raise RequestError(
                403,
                f"the server has no token and answers this machine only, not as {host}; start it "
                "with --token-file, or with --insecure",
            )
        if self._token is None:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        matches = hmac.compare_digest(token.strip().encode(), self._token)
        if scheme.lower() != "bearer" or not matches:
            raise RequestError(401, "a bearer token is needed: Authorization: Bearer TOKEN")

    async def _measurements(self, request: Request) -> bytes:
        body = await receive(request, self.limits.body, self.limits.receiving)
        async with self._measuring:  # one at a time: it takes the processor from other requests
            return await asyncio.to_thread(measurements, body)

    async def _body_for(self, request: Request) -> bytes:
        path = request.url.path
        if request.method == "POST" and (match := PREDICT.fullmatch(path)):
            method = match["method"].lower()
            if method in ("classify", "regress"):
                self._check_name(match["name"], _version(match)[0], served=True)
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
            return metadata_response(
                self.versions.name, version.number, version.worker.signature_def
            )
        if label is not None:
            number = self.versions.find(None, label).number
        return status_response(self.versions.states(number))

    def _check_name(self, quoted: str, number: int | None, *, served: bool) -> None:
        name = unquote(quoted)
        if name == self.versions.name:
            return
        servable = f"Latest({name})" if number is None else f"Specific({name}, {number})"
        if served:
            raise RequestError(404, f"Servable not found for request: {servable}")
        missing = "any versions" if number is None else f"version {number}"
        raise RequestError(404, f"Could not find {missing} of model {name}")

    async def _limited(self, request: Request, match: re.Match[str]) -> bytes:
        # A request counts when its body is there: slow senders do not keep others out.
        body = await receive(request, self.limits.body, self.limits.receiving)
        if self._pending >= self.limits.pending:
            raise RequestError(
                429, f"{self._pending} requests are under way, which is the limit; try again"
            )
        self._pending += 1
        self.metrics.pending.inc()
        try:
            return await self._predict(body, match)
        finally:
            self._pending -= 1
            self.metrics.pending.dec()

    async def _predict(self, body: bytes, match: re.Match[str]) -> bytes:
        start = time.perf_counter()
        small = len(body) <= INLINE_BYTES
        document = parse_json(body) if small else await asyncio.to_thread(parse_json, body)
        number, label = _version(match)
        self._check_name(match["name"], number, served=True)
        version = self.versions.find(number, label)
        if version.worker is None:
            raise RequestError(503, f"version {version.number} is being loaded again")
        read = partial(
            read_request,
            document,
            version.worker.signature_def,
            self.limits.instances,
            booleans=may_hold_booleans(body),
        )
        predict_request = read() if small else await asyncio.to_thread(read)
        signature = predict_request.signature
        seconds = self.limits.answering
        try:
            async with asyncio.timeout(seconds):
                outputs = await version.predict(signature, predict_request.tensors)
        except TimeoutError:
            raise RequestError(504, f"Timed out: no answer within {seconds:g} s") from None
        response = predict_response(outputs, predict_request.by_row)
        self.metrics.seconds.labels(signature).observe(time.perf_counter() - start)
        return response


def _version(match: re.Match[str]) -> tuple[int | None, str | None]:
    number, label = match["version"], match["label"]
    # Python reads no number of thousands of digits; one of 64 bits has 19 at most.
    if number is not None and (len(number.lstrip("0")) > 19 or int(number[-20:]) >= 2**63):
        raise RequestError(400, f"Failed to convert version: {number[:MAX_SHOWN]} to numeric.")
    return (
        None if number is None else int(number[-20:]),
        None if label is None else unquote(label),
    )


def application(
    versions: Versions,
    limits: Limits,
    metrics: Metrics,
    token: str | None = None,
    *,
    local_only: bool = False,
) -> Starlette:
    """The application; it watches the versions while it runs.

    Args:
        versions: what is served.
        limits: of requests.
        metrics: what is counted.
        token: the bearer token that clients must send.
        local_only: answer only requests whose Host is a name of this machine for itself.
    """

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
        metadata = {}
        with contextlib.suppress(RequestError, InputError):
            metadata = read_export_metadata(versions.latest().folder)
        shown = {name: metadata[name] for name in ("cases", "image") if name in metadata}
        return JSONResponse({"model": versions.name, **shown})

    api = Api(versions, limits, metrics, token, local_only)
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    routes: list[Route | Mount] = [
        Route("/metrics", show_metrics),
        Route("/monitoring/prometheus/metrics", show_metrics),
        Route("/measure", api.measure, methods=["POST"]),
        Route("/page.json", describe),
        Route("/v1/{path:path}", api.__call__, methods=methods),
    ]
    if PAGE.is_dir():
        routes.append(Mount("/", Page(directory=PAGE, html=True)))
    return Starlette(routes=routes, lifespan=lifespan)
