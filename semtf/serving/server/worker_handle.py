"""The server's end of a worker process: start it, ask it, end it."""

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

END_SECONDS = 5.0


class WorkerEndedError(Exception):
    """The worker process ended before it answered."""


class WorkerHandle:
    """A process that holds one version of a model.

    Attributes:
        signature_def: the model's signatures, as its metadata shows them.
        note: what ``semtf.json`` says of the export.
    """

    def __init__(self, process: asyncio.subprocess.Process, head: dict[str, Any]) -> None:
        self.signature_def: dict[str, Any] = head["signature_def"]
        self.note: dict[str, Any] = head["note"]
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], Tensors]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, folder: Path, threads: int) -> "WorkerHandle":
        """Start a process on a version folder; returns when the model is loaded and warm.

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
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt is the server's to handle
        )
        try:
            head, _ = await _frame(process)
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

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._reader.done()

    async def ask(self, signature: str, tensors: Mapping[str, npt.NDArray[Any]]) -> Tensors:
        """The outputs of a signature.

        Raises:
            RequestError: the model refuses the inputs.
            WorkerEndedError: the process ended.
        """
        if not self.alive:
            raise WorkerEndedError("the process that held the model has ended")
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            stdin = self._process.stdin
            assert stdin is not None  # noqa: S101 - it was made with a pipe
            stdin.write(pack({"id": number, "signature": signature}, tensors))
            await stdin.drain()
            head, outputs = await answer
        except ConnectionError as error:
            raise WorkerEndedError("the process that held the model has ended") from error
        finally:
            self._waiting.pop(number, None)
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
                head, tensors = await _frame(self._process)
                answer = self._waiting.get(head["id"])
                if answer is not None and not answer.done():
                    answer.set_result((head, tensors))
        except asyncio.IncompleteReadError:
            pass
        finally:
            ended = WorkerEndedError("the process that held the model has ended")
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ended)


async def _frame(process: asyncio.subprocess.Process) -> tuple[dict[str, Any], Tensors]:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was made with a pipe
    text, body = LENGTHS.unpack(await stdout.readexactly(LENGTHS.size))
    return unpack(await stdout.readexactly(text), await stdout.readexactly(body))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, after which it ends by itself; kill it where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
