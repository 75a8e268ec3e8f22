"""Requests of several clients that come within a time window, answered in one call of the model."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.worker_handle import WorkerHandle

Key = tuple[Any, ...]


@dataclass(eq=False)
class _Request:
    """A request of a batch; its arrays share the first axis, ``count`` long."""

    tensors: Tensors
    count: int
    outputs: asyncio.Future[Tensors]


@dataclass
class _Batch:
    """The requests of one signature and shape that are sent together."""

    signature: str
    requests: list[_Request] = field(default_factory=list)
    images: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class Batcher:
    """Gathers requests of the same signature and shape before a worker.

    A batch is sent when it holds ``max_images``, or ``window`` seconds after its first request;
    while all of the worker's ``threads`` are busy it goes on growing. A batch that the model
    refuses is tried again request by request, so that one client's bad image is not another's
    error.

    Args:
        worker: computes the outputs.
        max_images: the most images of one call of the worker.
        window: seconds that a request may wait for others to join its batch.
        threads: calls of the worker at the same time.
        observe: called with the number of images before every call of the worker.
    """

    def __init__(
        self,
        worker: WorkerHandle,
        *,
        max_images: int,
        window: float,
        threads: int,
        observe: Callable[[int], None] = lambda images: None,
    ) -> None:
        self.worker = worker
        self.max_images = max_images
        self.window = window
        self._free_threads = asyncio.Semaphore(threads)
        self._open_batches: dict[Key, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._observe = observe

    async def predict(self, signature: str, tensors: Tensors) -> Tensors:
        """The outputs for one request; raises as `WorkerHandle.predict` does."""
        counts = {array.shape[0] if array.ndim else 0 for array in tensors.values()}
        count = max(counts)
        if len(counts) != 1 or not count or count >= self.max_images:
            # It goes alone: it is a batch by itself, or its arrays do not fit together, which is
            # for the model to refuse.
            async with self._free_threads:
                self._observe(count)
                return await self.worker.predict(signature, tensors)
        return await self._in_batch(signature, tensors, count)

    async def _in_batch(self, signature: str, tensors: Tensors, count: int) -> Tensors:
        key = (signature, *((name, a.shape[1:], a.dtype.str) for name, a in tensors.items()))
        batch = self._open_batches.get(key)
        if batch is None or batch.images + count > self.max_images:
            if batch is not None:
                batch.full.set()
            batch = self._open_batches[key] = _Batch(signature)
            task = asyncio.create_task(self._send(key, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        request = _Request(tensors, count, asyncio.get_running_loop().create_future())
        batch.requests.append(request)
        batch.images += count
        if batch.images >= self.max_images:
            batch.full.set()
        return await request.outputs

    async def _send(self, key: Key, batch: _Batch) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(batch.full.wait(), self.window)
        async with self._free_threads:
            if self._open_batches.get(key) is batch:
                del self._open_batches[key]
            # A request whose client gave up is left out.
            requests = [request for request in batch.requests if not request.outputs.done()]
            if requests:
                await self._run(batch.signature, requests)

    async def _run(self, signature: str, requests: list[_Request]) -> None:
        joined = {
            name: _joined([request.tensors[name] for request in requests])
            for name in requests[0].tensors
        }
        total = sum(request.count for request in requests)
        self._observe(total)
        try:
            outputs = await self.worker.predict(signature, joined)
            if any(array.shape[:1] != (total,) for array in outputs.values()):
                raise RequestError(500, "an output of the model has no row for each input")
        except RequestError as error:
            if len(requests) == 1:
                _fail(requests[0], error)
                return
            for request in requests:
                await self._run(signature, [request])
        except Exception as error:  # each of the requests fails, and nothing else
            for request in requests:
                _fail(request, error)
        else:
            _distribute(outputs, requests)


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _distribute(outputs: Tensors, requests: list[_Request]) -> None:
    """Give each request its rows of the outputs of their batch."""
    start = 0
    for request in requests:
        rows = slice(start, start + request.count)
        if not request.outputs.done():
            request.outputs.set_result({name: array[rows] for name, array in outputs.items()})
        start = rows.stop


def _fail(request: _Request, error: Exception) -> None:
    if not request.outputs.done():
        request.outputs.set_exception(error)
