"""The bodies of answers in TensorFlow Serving's REST contract."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from semtf.serving.frames import Tensors
from semtf.serving.server.rest import BYTES_SUFFIX

OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def predictions(outputs: Tensors, rows: bool) -> bytes:
    """The answer of a predict request: ``predictions`` by row or ``outputs`` by column.

    A single output loses its name; strings of outputs named ``*_bytes`` become base64.
    """
    columns = {name: _column(name, array) for name, array in sorted(outputs.items())}
    single = next(iter(columns.values())) if len(columns) == 1 else None
    if not rows:
        return _dump({"outputs": columns if single is None else single}, outputs)
    if single is not None:
        return _dump({"predictions": single}, outputs)
    instances = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    return _dump({"predictions": instances}, outputs)


def _column(name: str, array: npt.NDArray[Any]) -> Any:
    """Something that JSON can hold, whose elements are the rows."""
    if array.dtype != object:
        return list(array) if array.ndim else array.item()
    return _texts(array.tolist(), name.endswith(BYTES_SUFFIX))


def _texts(value: Any, binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(part, binary) for part in value]
    if binary:
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value.decode("utf-8", "replace")


def _dump(document: Any, outputs: Tensors) -> bytes:
    finite = all(np.isfinite(array).all() for array in outputs.values() if array.dtype != object)
    if finite:
        return orjson.dumps(document, option=OPTIONS)
    # TensorFlow Serving writes NaN and Infinity; orjson would write null.
    return json.dumps(document, default=lambda array: array.tolist()).encode()


def error(message: str) -> bytes:
    """The body of an error."""
    return orjson.dumps({"error": message})


def status(states: Iterable[tuple[int, str, str, str]]) -> bytes:
    """The answer of a status request, from version, state, error code and message."""
    entries = [
        {
            "version": str(version),
            "state": state,
            "status": {"error_code": code, "error_message": message},
        }
        for version, state, code, message in states
    ]
    return orjson.dumps({"model_version_status": entries}, option=orjson.OPT_INDENT_2)


def metadata(model: str, version: int, signature_def: Mapping[str, Any]) -> bytes:
    """The answer of a metadata request."""
    return orjson.dumps(
        {
            "model_spec": {"name": model, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": signature_def}},
        },
        option=orjson.OPT_INDENT_2,
    )
