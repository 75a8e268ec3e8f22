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
class _Waiting:
    """A request in the queue; its arrays share the first axis, ``count`` long."""

    tensors: Tensors
    count: int
    answer: asyncio.Future[Tensors]


@dataclass
class _Queue:
    signature: str
    waiting: list[_Waiting] = field(default_factory=list)
    images: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class Batcher:
    """Gathers requests of the same signature and shape before a worker.

    A batch is sent when it holds ``most`` images, or ``window`` seconds after its first request;
    while all of the worker's ``threads`` are busy it goes on growing. A batch that the model
    refuses is tried again request by request, so that one client's bad image is not another's
    error.
    """

    def __init__(
        self,
        worker: WorkerHandle,
        *,
        most: int,
        window: float,
        threads: int,
        observe: Callable[[int], None] = lambda images: None,
    ) -> None:
        self.worker = worker
        self.most = most
        self.window = window
        self._free = asyncio.Semaphore(threads)
        self._queues: dict[Key, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._observe = observe

    async def ask(self, signature: str, tensors: Tensors) -> Tensors:
        """The outputs for one request; raises as `WorkerHandle.ask` does."""
        counts = {array.shape[0] if array.ndim else 0 for array in tensors.values()}
        count = max(counts)
        if len(counts) != 1 or not count or count >= self.most:
            # Not to be joined with others: the model says what is wrong with it, or it is large.
            async with self._free:
                self._observe(count)
                return await self.worker.ask(signature, tensors)
        return await self._queued(signature, tensors, count)

    async def _queued(self, signature: str, tensors: Tensors, count: int) -> Tensors:
        key = (signature, *((name, a.shape[1:], a.dtype.str) for name, a in tensors.items()))
        queue = self._queues.get(key)
        if queue is None or queue.images + count > self.most:
            if queue is not None:
                queue.full.set()
            queue = self._queues[key] = _Queue(signature)
            task = asyncio.create_task(self._send(key, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waiting = _Waiting(tensors, count, asyncio.get_running_loop().create_future())
        queue.waiting.append(waiting)
        queue.images += count
        if queue.images >= self.most:
            queue.full.set()
        return await waiting.answer

    async def _send(self, key: Key, queue: _Queue) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(queue.full.wait(), self.window)
        async with self._free:
            if self._queues.get(key) is queue:
                del self._queues[key]
            # Who gave up waiting needs no answer.
            waiting = [one for one in queue.waiting if not one.answer.done()]
            if waiting:
                await self._answer(queue.signature, waiting)

    async def _answer(self, signature: str, waiting: list[_Waiting]) -> None:
        joined = {
            name: _joined([one.tensors[name] for one in waiting]) for name in waiting[0].tensors
        }
        total = sum(one.count for one in waiting)
        self._observe(total)
        try:
            outputs = await self.worker.ask(signature, joined)
            if any(array.shape[:1] != (total,) for array in outputs.values()):
                raise RequestError(500, "an output of the model has no row for each input")
        except RequestError as error:
            if len(waiting) == 1:
                _fail(waiting[0], error)
                return
            for one in waiting:
                await self._answer(signature, [one])
        except Exception as error:  # each of the requests fails, and nothing else
            for one in waiting:
                _fail(one, error)
        else:
            start = 0
            for one in waiting:
                part = slice(start, start + one.count)
                if not one.answer.done():
                    one.answer.set_result({name: a[part] for name, a in outputs.items()})
                start = part.stop


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
