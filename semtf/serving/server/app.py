"""The web application: TensorFlow Serving's REST contract, metrics, and the page."""

import asyncio
import contextlib
import gzip
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from semtf.errors import InputError
from semtf.serving.saved_model.export_metadata import read_export_metadata
from semtf.serving.server.access import check_token
from semtf.serving.server.addresses import is_loopback
from semtf.serving.server.json_tensor import MAX_SHOWN, RequestError
from semtf.serving.server.measure_route import measurements
from semtf.serving.server.metrics import CONTENT_TYPE
from semtf.serving.server.models import Models
from semtf.serving.server.page_files import PAGE, Page
from semtf.serving.server.predicting import Predicting, SignatureDef
from semtf.serving.server.request_body import accepts_gzip, receive
from semtf.serving.server.rest import Request as PredictRequest
from semtf.serving.server.rest import (
    error_response,
    may_hold_booleans,
    metadata_response,
    parse_json,
    predict_response,
    read_request,
    status_response,
)

if TYPE_CHECKING:
    from semtf.serving.server.grpc_server import GrpcServer

log = logging.getLogger("semtf.serving")
VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
PREDICT = re.compile(rf"(?i)/v1/models/(?P<name>[^/:]+){VERSION}:(?P<method>[a-z]+)")
STATUS = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{VERSION}(?P<metadata>/metadata)?")
INLINE_BYTES = 1 << 18
"""A longer body is parsed in a thread, so that it does not keep other requests waiting."""
SMALL_BYTES = 1 << 10
"""A shorter answer is not packed."""


class Api:
    """The handlers of ``/v1/models…``."""

    def __init__(
        self, models: Models, predicting: Predicting, token: str | None, local_only: bool
    ) -> None:
        self.models = models
        self.predicting = predicting
        self.limits = predicting.limits
        self.metrics = predicting.metrics
        self._token = token
        self._local_only = local_only
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
        if len(body) > SMALL_BYTES and accepts_gzip(request.headers.get("accept-encoding", "")):
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
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
        check_token(request.headers.get("authorization", ""), self._token)

    async def _measurements(self, request: Request) -> bytes:
        body = await receive(request, self.limits.body, self.limits.receiving)
        async with self._measuring:  # one at a time: it takes the processor from other requests
            return await asyncio.to_thread(measurements, body)

    async def _body_for(self, request: Request) -> bytes:
        # Names may hold escaped slashes and colons, so they are found before they are unescaped.
        path = request.scope.get("raw_path", b"").decode("latin-1") or request.url.path
        if request.method == "POST" and (match := PREDICT.fullmatch(path)):
            method = match["method"].lower()
            if method in ("classify", "regress"):
                number, label = _version(match)
                self.models.served(unquote(match["name"]), number).find(number, label)
                raise RequestError(501, f":{method} takes tf.Example; send images to :predict")
            if method == "predict":
                return await self._predict(request, match)
        if request.method == "GET" and (match := STATUS.fullmatch(path)):
            return self._describe(match)
        raise RequestError(400, f"Malformed request: {request.method} {path}")

    def _describe(self, match: re.Match[str]) -> bytes:
        if not match["name"]:
            raise RequestError(400, "Missing model name in request.")
        name, (number, label) = unquote(match["name"]), _version(match)
        if match["metadata"]:
            version = self.models.served(name, number).find(number, label)
            return metadata_response(name, version.number, version.signature_def())
        versions = self.models.described(name, number)
        if label is not None:
            number = versions.find(None, label).number
        return status_response(versions.states(number))

    async def _predict(self, request: Request, match: re.Match[str]) -> bytes:
        # A request counts when its body is there: slow senders do not keep others out.
        body = await receive(request, self.limits.body, self.limits.receiving)
        with self.predicting.counted():
            small = len(body) <= INLINE_BYTES
            document = parse_json(body) if small else await asyncio.to_thread(parse_json, body)
            number, label = _version(match)

            async def read(signature_def: SignatureDef) -> PredictRequest:
                parse = partial(
                    read_request,
                    document,
                    signature_def,
                    self.limits.instances,
                    booleans=may_hold_booleans(body),
                )
                return parse() if small else await asyncio.to_thread(parse)

            versions = self.models.served(unquote(match["name"]), number)
            predicted = await self.predicting.predict(versions, number, label, read)
        if small:
            return predict_response(predicted.outputs, predicted.request.by_row)
        return await asyncio.to_thread(
            predict_response, predicted.outputs, predicted.request.by_row
        )


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
    models: Models,
    predicting: Predicting,
    token: str | None = None,
    *,
    local_only: bool = False,
    grpc: "GrpcServer | None" = None,
) -> Starlette:
    """The application; it watches the models while it runs.

    Args:
        models: what is served; the page shows the first of them.
        predicting: answers predict requests.
        token: the bearer token that clients must send.
        local_only: answer only requests whose Host is a name of this machine for itself.
        grpc: the same models over gRPC.
    """
    metrics = predicting.metrics

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watcher = asyncio.create_task(models.watch())
        if grpc is not None:
            await grpc.start()
        try:
            yield
        finally:
            if grpc is not None:
                await grpc.stop(predicting.limits.answering)
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            await models.close()

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.text(models.by_name), media_type=CONTENT_TYPE)

    async def describe(_: Request) -> Response:
        name, versions = next(iter(models.by_name.items()), ("", None))
        metadata = {}
        if versions is not None:
            with contextlib.suppress(RequestError, InputError):
                metadata = read_export_metadata(versions.latest().folder)
        shown = {key: metadata[key] for key in ("cases", "image") if key in metadata}
        return JSONResponse({"model": name, **shown})

    api = Api(models, predicting, token, local_only)
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
