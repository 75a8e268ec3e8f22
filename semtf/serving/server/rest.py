"""TensorFlow Serving's REST contract: JSON to arrays and back, with its error messages.

The behaviour, the messages included, is that of ``json_tensor.cc`` and ``http_rest_api_util.cc``
of https://github.com/tensorflow/serving. No TensorFlow here: the server imports none.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError, is_object, shortened, shown, tensor
from semtf.serving.server.rows import Inputs, check_count, read_rows

DEFAULT_SIGNATURE = "serving_default"
BYTES_SUFFIX = "_bytes"
MAX_LISTS = 1 << 20
"""Lists and objects of a document: 256 images of 72 x 48 pixels with an axis of one channel have
0.9 million. Nothing else could run while many more are made."""
NOT_FINITE = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?(?:NaN|Inf(?:inity)?)(?![A-Za-z0-9_]))', re.DOTALL
)
NUMBERS = {
    f"{sign}{word}": "NaN" if word == "NaN" else f"{sign}Infinity"
    for sign in ("", "-")
    for word in ("NaN", "Inf", "Infinity")
}
"""What Python's parser takes for a number that is not finite, by what rapidjson takes for one."""


class Request(NamedTuple):
    """The contents of a predict request's body.

    Attributes:
        signature: the signature's name.
        tensors: its inputs by name.
        by_row: whether the response is by row (``predictions``) or by column (``outputs``).
    """

    signature: str
    tensors: Tensors
    by_row: bool


def parse_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    As for TensorFlow Serving's parser, ``NaN``, ``Inf`` and ``Infinity`` are numbers, with a minus
    or without, and what stands behind the object counts for nothing.
    """
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    lists = body.count(b"[") + body.count(b"{")
    if lists > MAX_LISTS:
        raise RequestError(
            413, f"{lists} lists and objects are too many for one request (at most {MAX_LISTS})"
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            document = _parse_leniently(body)
        except (ValueError, RecursionError):
            raise RequestError(
                400, f"JSON Parse error: {error.msg} at offset: {error.pos}"
            ) from error
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {shortened(document)} Is not object")
    return document


def _parse_leniently(body: bytes) -> Any:
    text = NOT_FINITE.sub(
        lambda match: match["string"] or NUMBERS[match["number"]], body.decode("utf-8").lstrip()
    )
    return json.JSONDecoder().raw_decode(text)[0]


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(
            400,
            f"JSON Value: {shortened(document)} not formatted correctly. "
            "'signature_name' key must be a string value.",
        )
    return name or DEFAULT_SIGNATURE


def signature_inputs(signature_def: Mapping[str, Mapping[str, Any]], name: str) -> Inputs:
    """The inputs of a signature by name; raises RequestError where there is none or it has none."""
    if name not in signature_def:
        raise RequestError(
            400, f'Serving signature name: "{shown(name)}" not found in signature def'
        )
    inputs: Inputs = signature_def[name].get("inputs", {})
    if not inputs:
        raise RequestError(400, f"Failed to get input map for signature: {name}")
    return inputs


def may_hold_booleans(body: bytes) -> bool:
    """Whether the words for booleans occur in a body."""
    return b"true" in body or b"false" in body


def read_request(
    document: Mapping[str, Any],
    signature_def: Mapping[str, Mapping[str, Any]],
    limit: int,
    *,
    booleans: bool = True,
) -> Request:
    """Turn a predict request into arrays.

    Args:
        document: the JSON object of the body.
        signature_def: the model's signatures, as its metadata shows them.
        limit: most instances of a request.
        booleans: whether the document may hold booleans (`may_hold_booleans`).

    Raises:
        RequestError: with TensorFlow Serving's message and code; 413 beyond ``limit``.
    """
    name = signature_name(document)
    inputs = signature_inputs(signature_def, name)
    if "instances" in document and "inputs" in document:
        raise RequestError(
            400,
            f"JSON Value: {shortened(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist ",
        )
    if "instances" in document:
        return Request(name, read_rows(document, inputs, limit, booleans), True)
    if "inputs" in document:
        return Request(name, _columns(document["inputs"], inputs, limit, booleans), False)
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _columns(columns: Any, inputs: Inputs, limit: int, booleans: bool) -> Tensors:
    if not is_object(columns):
        if len(inputs) > 1:
            raise RequestError(
                400,
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map",
            )
        columns = {next(iter(inputs)): columns}
    for name in inputs:
        if name not in columns:
            raise RequestError(400, f"Missing named input: {name} in 'inputs' object.")
        if isinstance(columns[name], list):
            check_count(len(columns[name]), limit)
    return {
        name: tensor(columns[name], info["dtype"], booleans=booleans)
        for name, info in inputs.items()
    }


def predict_response(outputs: Tensors, by_row: bool) -> bytes:
    """The body that answers a predict request: ``predictions`` by row or ``outputs`` by column.

    A single output loses its name; strings of outputs named ``*_bytes`` become base64.
    """
    columns = {name: _column(name, array) for name, array in sorted(outputs.items())}
    single = next(iter(columns.values())) if len(columns) == 1 else None
    if not by_row:
        return _json({"outputs": columns if single is None else single}, outputs)
    if single is not None:
        return _json({"predictions": single}, outputs)
    instances = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    return _json({"predictions": instances}, outputs)


def _column(name: str, array: npt.NDArray[Any]) -> Any:
    """An output as a list of its rows, in types that JSON has."""
    if array.dtype != object:
        return list(array) if array.ndim else array.item()
    return _strings(array.tolist(), name.endswith(BYTES_SUFFIX))


def _strings(value: Any, binary: bool) -> Any:
    if isinstance(value, list):
        return [_strings(part, binary) for part in value]
    if binary:
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value.decode("utf-8", "replace")


def _json(document: Any, outputs: Tensors) -> bytes:
    finite = all(np.isfinite(array).all() for array in outputs.values() if array.dtype != object)
    if finite:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # TensorFlow Serving writes NaN and Infinity; orjson would write null.
    return json.dumps(document, default=lambda array: array.tolist()).encode()


def error_response(message: str) -> bytes:
    """The body that tells an error; half a surrogate pair becomes ``?``, for UTF-8 has none."""
    return orjson.dumps({"error": message.encode("utf-8", "replace").decode("utf-8")})


def status_response(states: Iterable[tuple[int, str, str, str]]) -> bytes:
    """The body that answers a status request, from version, state, error code and message."""
    entries = [
        {
            "version": str(version),
            "state": state,
            "status": {"error_code": code, "error_message": message},
        }
        for version, state, code, message in states
    ]
    return orjson.dumps({"model_version_status": entries}, option=orjson.OPT_INDENT_2)


def metadata_response(model: str, version: int, signature_def: Mapping[str, Any]) -> bytes:
    """The body that answers a metadata request."""
    return orjson.dumps(
        {
            "model_spec": {"name": model, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": signature_def}},
        },
        option=orjson.OPT_INDENT_2,
    )
