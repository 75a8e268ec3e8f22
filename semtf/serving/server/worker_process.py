"""A worker in a process of its own: the server starts it, sends it requests and ends it."""

import asyncio
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from semtf.serving.frames import LENGTHS, Tensors, pack, unpack
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.worker_handle import WorkerEndedError, WorkerHandle

END_SECONDS = 5.0
ENDED = "the process that held the model has ended"


class WorkerProcess(WorkerHandle):
    """A process that holds one version of a model.

    Attributes:
        signature_def: the model's signatures, as its metadata shows them.
    """

    def __init__(self, process: asyncio.subprocess.Process, head: dict[str, Any]) -> None:
        self.signature_def: dict[str, Any] = head["signature_def"]
        self.warm: bool = head["warm"]
        self.pid = process.pid
        self._process = process
        self._ids = itertools.count()
        self._replies: dict[int, asyncio.Future[tuple[dict[str, Any], Tensors]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, folder: Path, threads: int, hurry: bool = False) -> "WorkerProcess":
        """Start a process on a version folder; returns when the model is loaded and warm.

        In a ``hurry`` that is the default signature; the others are warmed up behind.

        Raises:
            WorkerEndedError: the model does not load; the message says why.
        """
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "semtf.serving.server.worker",
                str(folder),
                f"--threads={threads}",
                *(["--hurry"] if hurry else []),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt is the server's to handle
        )
        try:
            head, _ = await _read_frame(process)
        except asyncio.IncompleteReadError:
            code = await process.wait()
            raise WorkerEndedError(f"the process ended with code {code}") from None
        except BaseException:
            await _end(process)
            raise
        if "error" in head:
            await _end(process)
            raise WorkerEndedError(head["error"])
        return cls(process, head)

    async def predict(self, signature: str, tensors: Mapping[str, npt.NDArray[Any]]) -> Tensors:
        """The outputs of a signature; raises as `WorkerHandle.predict` does."""
        if self._reader.done():
            raise WorkerEndedError(ENDED)
        request_id = next(self._ids)
        reply = asyncio.get_running_loop().create_future()
        self._replies[request_id] = reply
        try:
            stdin = self._process.stdin
            assert stdin is not None  # noqa: S101 - it was made with a pipe
            stdin.write(pack({"id": request_id, "signature": signature}, tensors))
            await stdin.drain()
            head, outputs = await reply
        except ConnectionError as error:
            raise WorkerEndedError(ENDED) from error
        finally:
            self._replies.pop(request_id, None)
        if "error" in head:
            raise RequestError(head["status"], head["error"])
        return outputs

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await asyncio.wait([self._reader])

    async def close(self) -> None:
        """End the process."""
        await _end(self._process)
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        try:
            while True:
                head, tensors = await _read_frame(self._process)
                if "warm" in head:
                    self.warm = head["warm"]
                    continue
                reply = self._replies.get(head["id"])
                if reply is not None and not reply.done():
                    reply.set_result((head, tensors))
        except asyncio.IncompleteReadError:
            pass
        finally:
            ended = WorkerEndedError(ENDED)
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_exception(ended)


async def _read_frame(process: asyncio.subprocess.Process) -> tuple[dict[str, Any], Tensors]:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was made with a pipe
    text, body = LENGTHS.unpack(await stdout.readexactly(LENGTHS.size))
    return unpack(await stdout.readexactly(text), await stdout.readexactly(body))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the process's input, after which it ends by itself; kill it where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
