"""A worker without a process: its outputs are its inputs, and the test decides when they come."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.worker_handle import WorkerEndedError, WorkerHandle

BAD = -1.0


class FakeWorker(WorkerHandle):
    """Gives ``y = 10 x``; refuses a batch in which an ``x`` is `BAD`.

    Attributes:
        calls: the ``x`` of every call, in order, as lists.
        gate: calls are answered while it is set.
        closed: whether the server ended it.
    """

    def __init__(self, signature_def: Mapping[str, Any] | None = None) -> None:
        self.signature_def = dict(signature_def or {"double": {}})
        self.calls: list[list[float]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False
        self._ended = asyncio.Event()

    async def predict(self, signature: str, tensors: Mapping[str, npt.NDArray[Any]]) -> Tensors:
        values = tensors["x"]
        self.calls.append(values.tolist())
        gate, ended = (asyncio.create_task(event.wait()) for event in (self.gate, self._ended))
        await asyncio.wait([gate, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (gate, ended):
            task.cancel()
        if self._ended.is_set():
            raise WorkerEndedError("the process that held the model has ended")
        if np.any(values == BAD):
            raise RequestError(400, f"{int(np.argmax(values == BAD))} is bad")
        return {"y": 10 * values}

    def die(self) -> None:
        """End by itself: calls under way fail."""
        self._ended.set()

    async def wait(self) -> None:
        await self._ended.wait()

    async def close(self) -> None:
        self.closed = True
        self._ended.set()
