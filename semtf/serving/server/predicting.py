"""Predict requests of every protocol: their limits, their version, their time."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from semtf.serving.frames import Tensors
from semtf.serving.server.deadline import timeout
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.rest import Request
from semtf.serving.server.version import Version
from semtf.serving.server.versions import Versions

SignatureDef = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Limits:
    """The limits of requests.

    Attributes:
        body: bytes of a request.
        instances: instances of a request.
        pending: predict requests under way; more are refused with 429.
        receiving: seconds that a request may take to arrive, its head and then its body; then 408.
        answering: seconds that the model may take; then 504.
    """

    body: int = 32 << 20
    instances: int = 256
    pending: int = 256
    receiving: float = 30.0
    answering: float = 30.0


@dataclass(frozen=True)
class Predicted:
    """The answer to a predict request: what was asked, the version that answered, its outputs."""

    request: Request
    version: int
    outputs: Tensors


class Predicting:
    """Answers predict requests with the versions of models, as many at a time as is allowed."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self._pending = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as under way; raises RequestError where there are too many."""
        if self._pending >= self.limits.pending:
            raise RequestError(
                429, f"{self._pending} requests are under way, which is the limit; try again"
            )
        self._pending += 1
        self.metrics.pending.inc()
        try:
            yield
        finally:
            self._pending -= 1
            self.metrics.pending.dec()

    async def predict(
        self,
        versions: Versions,
        number: int | None,
        label: str | None,
        read: Callable[[SignatureDef], Awaitable[Request]],
    ) -> Predicted:
        """The outputs for a request.

        Args:
            versions: of the model.
            number: of the version that is asked; the newest where None.
            label: of the version that is asked.
            read: gives the request's arrays for the signatures of a version.

        Raises:
            RequestError: the version is not served, the request does not fit it, or it takes too
                long.
        """
        start = time.perf_counter()
        try:
            version = versions.find(number, label)
            request = await read(version.signature_def())
            outputs = await self._outputs(version, request)
        except RequestError as error:
            self.metrics.ended(versions.name, error.status)
            raise
        self.metrics.ended(versions.name, 200)
        self.metrics.answered(versions.name, request.signature, time.perf_counter() - start)
        return Predicted(request, version.number, outputs)

    async def _outputs(self, version: Version, request: Request) -> Tensors:
        seconds = self.limits.answering
        try:
            async with timeout(seconds):
                return await version.predict(request.signature, request.tensors)
        except TimeoutError:
            raise RequestError(504, f"Timed out: no answer within {seconds:g} s") from None
