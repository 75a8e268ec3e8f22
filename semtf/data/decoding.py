"""Many images: read once, hash, check and decode, with reading ahead in threads."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from semtf.data.images import BadImageError, Gray, Size, check_bytes, decode_png
from semtf.data.source import File, Source

CHUNK = 256
THREADS = 2
AHEAD = 4

Decode = Callable[[bytes, str], Gray]


class Chunk(NamedTuple):
    """The images ``start`` … ``start + len(images)`` of a list, zero where there is a problem."""

    start: int
    images: Gray
    digests: list[str]
    problems: list[str]


def decode_files(
    source: Source,
    files: Sequence[File],
    size: Size,
    *,
    decode: Decode | None = None,
) -> Iterator[Chunk]:
    """Decode files in order, chunk by chunk; a file that cannot be used becomes a problem.

    Args:
        source: where the files are.
        files: the files to decode.
        size: expected (rows, columns).
        decode: how to decode one file; raises BadImageError. The default takes grey PNG files.
    """
    decode = decode or partial(_decode_png, size=size)
    starts = range(0, len(files), CHUNK)
    waiting: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in starts:
            part = files[start : start + CHUNK]
            waiting.append(pool.submit(_decode_chunk, source, part, start, size, decode))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decode_png(data: bytes, _: str, *, size: Size) -> Gray:
    return decode_png(data, size).view(np.uint8)


def _decode_chunk(
    source: Source, files: Sequence[File], start: int, size: Size, decode: Decode
) -> Chunk:
    images = np.zeros((len(files), *size), np.uint8)
    digests, problems = [], []
    for image, file in zip(images, files, strict=True):
        digest = problem = ""
        try:
            check_bytes(file.size)
            data = source.read(file)
            digest = hashlib.sha256(data).hexdigest()
            image[:] = decode(data, file.path)
        except BadImageError as error:
            problem = str(error)
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error})"
        digests.append(digest)
        problems.append(problem)
    return Chunk(start, images, digests, problems)
