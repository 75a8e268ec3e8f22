"""Lists of images: each file is read once, hashed, checked and decoded, in worker processes.

Threads do not help here: reading and decoding one crop takes 0.1 ms in a dozen short calls, each
of which would hand the interpreter's lock to and fro. `multiprocessing` would import the user's
main module in every worker (or fork a process in which TensorFlow has threads), so the workers
are plain interpreters that run this module and talk over pipes.
"""

import hashlib
import json
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from semtf.data.file_source import File, Span, read_file
from semtf.data.image_file import decode_image
from semtf.data.images import BadImageError, Gray, Size, check_bytes

UNREAD = "it cannot be read"
"""Begins the problem of a file that could not be read, which may pass."""
CHUNK = 256
MAX_SERIAL = 2048
"""Up to so many images it is faster to start no processes."""
MAX_WORKERS = 8

Range = tuple[float, float]


class Chunk(NamedTuple):
    """Images in the order of a list, from ``start`` on; zero where there is a problem."""

    start: int
    images: Gray
    digests: list[str]
    problems: list[str]


class Task(NamedTuple):
    """A source's root, the (rows, columns) that its images must have, and the 16-bit range."""

    root: Path
    size: Size
    range16: Range | None = None


class Decoder:
    """Decodes lists of files; starts its processes with the first long list, ends them on exit.

    Args:
        task: how to decode.
        workers: processes to start; 0 decodes everything in this one. By default one a core.
    """

    def __init__(self, task: Task, workers: int | None = None) -> None:
        self.task = task
        self._count = min(os.cpu_count() or 1, MAX_WORKERS) if workers is None else workers
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._pool: ThreadPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def decode(self, files: Sequence[File]) -> Iterator[Chunk]:
        """The chunks of a list, in order; a file that cannot be used becomes a problem."""
        starts = range(0, len(files), CHUNK)
        if self._pool is None and (not self._count or len(files) <= MAX_SERIAL):
            for start in starts:
                yield decode_chunk(self.task, start, files[start : start + CHUNK])
            return
        pool = self._pool = self._pool or self._start()
        waiting: deque[Future[Chunk]] = deque()
        for start in starts:
            waiting.append(pool.submit(self._ask, start, files[start : start + CHUNK]))
            if len(waiting) > 2 * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _start(self) -> ThreadPoolExecutor:
        for _ in range(self._count):
            worker = _Worker(self.task)
            self._stack.callback(worker.close)
            self._idle.put(worker)
        return self._stack.enter_context(ThreadPoolExecutor(self._count))

    def _ask(self, start: int, files: Sequence[File]) -> Chunk:
        worker = self._idle.get()
        try:
            return worker.ask(start, files)
        finally:
            self._idle.put(worker)


def decode_chunk(
    task: Task,
    start: int,
    files: Sequence[File],
    read: Callable[[Path, File], bytes] = read_file,
) -> Chunk:
    """Decode a few files in this process.

    Args:
        task: how to decode.
        start: where the files stand in their list.
        files: the files; the endings of their paths say which format they are of.
        read: gives the bytes of a file of ``task.root``; raises OSError.
    """
    images = np.zeros((len(files), *task.size), np.uint8)
    digests, problems = [], []
    for image, file in zip(images, files, strict=True):
        digest = problem = ""
        try:
            check_bytes(file.size, task.size)
            data = read(task.root, file)
            digest = hashlib.sha256(data).hexdigest()
            image[:] = decode_image(data, file.path, size=task.size, range16=task.range16)
        except BadImageError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{UNREAD} ({error.strerror or error})"
        digests.append(digest)
        problems.append(" ".join(problem.split()))
    return Chunk(start, images, digests, problems)


class _Worker:
    """One process that decodes chunks on request, until its input ends."""

    def __init__(self, task: Task) -> None:
        self.size = task.size
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "semtf.data.decoding"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # an interrupt is this process's to handle
        )
        self._requests = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        self._send((str(task.root), task.size, task.range16))

    def ask(self, start: int, files: Sequence[File]) -> Chunk:
        self._send(files)
        answer = self._answers.readline()
        pixels = self._answers.read(len(files) * self.size[0] * self.size[1])
        if len(pixels) != len(files) * self.size[0] * self.size[1]:
            raise RuntimeError("a process that decodes images ended early")
        digests, problems = json.loads(answer)
        images = np.frombuffer(pixels, np.uint8).reshape(len(files), *self.size)
        return Chunk(start, images, digests, problems)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, message: object) -> None:
        self._requests.write(json.dumps(message).encode() + b"\n")
        self._requests.flush()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Decode the chunks of files that are asked for, one a line, until the input ends."""
    root, size, range16 = json.loads(requests.readline())
    task = Task(Path(root), tuple(size), range16 and tuple(range16))
    for line in requests:
        files = [
            File(path, length, stamp, span and Span(*span))
            for path, length, stamp, span in json.loads(line)
        ]
        chunk = decode_chunk(task, 0, files)
        answers.write(json.dumps((chunk.digests, chunk.problems)).encode() + b"\n")
        answers.write(chunk.images.tobytes())
        answers.flush()


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the process that asked is gone
        serve(sys.stdin.buffer, sys.stdout.buffer)
