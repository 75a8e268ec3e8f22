"""How the server and its worker processes talk: frames of JSON and the raw bytes of arrays.

A frame is the lengths of two parts (little-endian ``uint32`` and ``uint64``), a JSON object, and
the arrays that the object lists under ``tensors``, one after the other. Strings are arrays of
``object`` that hold bytes; their lengths are listed too.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[Any]]
LENGTHS = struct.Struct("<IQ")


def pack(head: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A frame with the object ``head`` and named arrays."""
    described, parts = [], []
    for name, array in tensors.items():
        entry: dict[str, Any] = {"name": name, "shape": array.shape}
        if array.dtype == object:
            strings = array.ravel().tolist()
            entry["lengths"] = [len(string) for string in strings]
            parts += strings
        else:
            entry["dtype"] = array.dtype.str
            parts.append(np.ascontiguousarray(array).tobytes())
        described.append(entry)
    text = json.dumps({**head, "tensors": described}).encode()
    body = b"".join(parts)
    return LENGTHS.pack(len(text), len(body)) + text + body


def unpack(text: bytes, body: bytes) -> tuple[dict[str, Any], Tensors]:
    """The object and the arrays of a frame's two parts."""
    head = json.loads(text)
    tensors: Tensors = {}
    position = 0
    for entry in head.pop("tensors"):
        if "lengths" in entry:
            array = np.empty(len(entry["lengths"]), object)
            for i, length in enumerate(entry["lengths"]):
                array[i] = body[position : position + length]
                position += length
        else:
            kind, count = np.dtype(entry["dtype"]), math.prod(entry["shape"])
            array = np.frombuffer(body, kind, count, position)
            position += array.nbytes
        tensors[entry["name"]] = array.reshape(entry["shape"])
    return head, tensors


def frames(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], Tensors]]:
    """The frames of a stream, until it ends."""
    while len(lengths := stream.read(LENGTHS.size)) == LENGTHS.size:
        text, body = LENGTHS.unpack(lengths)
        yield unpack(stream.read(text), stream.read(body))
