"""TensorFlow Serving's REST contract: JSON to arrays and back, with its words for what is wrong.

The behaviour, the messages included, is that of ``json_tensor.cc`` and ``http_rest_api_util.cc``
of https://github.com/tensorflow/serving. No TensorFlow here: the server imports none.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from semtf.serving.wire import Tensors

DEFAULT_SIGNATURE = "serving_default"
BYTES_SUFFIX = "_bytes"
TYPES = {
    "DT_FLOAT": ("float", np.float32, "iuf"),
    "DT_DOUBLE": ("double", np.float64, "iuf"),
    "DT_INT32": ("int32", np.int32, "iu"),
    "DT_INT64": ("int64", np.int64, "iu"),
    "DT_UINT8": ("uint8", np.uint8, "iu"),
    "DT_BOOL": ("bool", np.bool_, "b"),
}
"""By type of a tensor: TensorFlow's name, NumPy's type, and the kinds of numbers it takes."""
SHOWN = 100
"""Characters of a wrong value that an error message repeats."""
Inputs = Mapping[str, Mapping[str, Any]]


class RequestError(Exception):
    """A request that cannot be answered, with its HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """What a body asks for: the arrays of a signature; ``rows`` says how to answer."""

    signature: str
    tensors: Tensors
    rows: bool


def parse_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; ``NaN`` and ``Infinity`` are numbers, as in TensorFlow Serving."""
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise RequestError(
                400, f"JSON Parse error: {error.msg} at offset: {error.pos}"
            ) from error
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {_shown(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(
            400,
            f"JSON Value: {_shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value.",
        )
    return name or DEFAULT_SIGNATURE


def read_request(
    document: Mapping[str, Any], signature_def: Mapping[str, Mapping[str, Any]], limit: int
) -> Request:
    """Turn a predict request into arrays.

    Args:
        document: the JSON object of the body.
        signature_def: the model's signatures, as its metadata shows them.
        limit: most instances of a request.

    Raises:
        RequestError: with TensorFlow Serving's message and code; 413 beyond ``limit``.
    """
    name = signature_name(document)
    if name not in signature_def:
        raise RequestError(400, f'Serving signature name: "{name}" not found in signature def')
    inputs = signature_def[name].get("inputs", {})
    if not inputs:
        raise RequestError(400, f"Failed to get input map for signature: {name}")
    if "instances" in document and "inputs" in document:
        raise RequestError(
            400,
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist ",
        )
    if "instances" in document:
        return Request(name, _rows(document, inputs, limit), True)
    if "inputs" in document:
        return Request(name, _columns(document["inputs"], inputs, limit), False)
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _rows(document: Mapping[str, Any], inputs: Inputs, limit: int) -> Tensors:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise RequestError(
            400, f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise RequestError(400, f"JSON Value: {_shown(document)} No values in 'instances' array")
    _check_count(len(instances), limit)
    if not _is_object(instances[0]):
        return _plain_rows(instances, inputs)
    columns: dict[str, list[Any]] = {name: [] for name in inputs}
    for place, instance in enumerate(instances):
        if not _is_object(instance):
            raise RequestError(400, f"Expecting object but got list at item {place} of input list")
        for name in instance:
            if name not in inputs:
                raise RequestError(
                    400,
                    f"Failed to process element: {place} key: {name} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {name}",
                )
        if set(instance) != set(inputs):
            raise RequestError(
                400,
                f"Failed to process element: {place} of 'instances' list. JSON object: "
                f"{_shown(instance)} keys must be equal to: {','.join(sorted(inputs))}",
            )
        for name, column in columns.items():
            column.append(instance[name])
    return {name: tensor(values, inputs[name]["dtype"]) for name, values in columns.items()}


def _plain_rows(instances: list[Any], inputs: Inputs) -> Tensors:
    if len(inputs) > 1:
        raise RequestError(
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        )
    for place, instance in enumerate(instances):
        if _is_object(instance):
            raise RequestError(
                400, f"Expecting value/list but got object at item {place} of input list"
            )
    ((name, info),) = inputs.items()
    return {name: tensor(instances, info["dtype"])}


def _columns(given: Any, inputs: Inputs, limit: int) -> Tensors:
    if not _is_object(given):
        if len(inputs) > 1:
            raise RequestError(
                400,
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map",
            )
        given = {next(iter(inputs)): given}
    for name in inputs:
        if name not in given:
            raise RequestError(400, f"Missing named input: {name} in 'inputs' object.")
        if isinstance(given[name], list):
            _check_count(len(given[name]), limit)
    return {name: tensor(given[name], info["dtype"]) for name, info in inputs.items()}


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise RequestError(
            413, f"{count} instances are too many for one request; send at most {limit}"
        )


def tensor(value: Any, kind: str) -> npt.NDArray[Any]:
    """An array of a TensorFlow type from nested lists.

    Raises:
        RequestError: naming the first value that does not fit.
    """
    if kind == "DT_STRING":
        return _strings(value)
    if kind not in TYPES:
        raise RequestError(501, f"Conversion of JSON Value: {_shown(value)} to type: {kind}")
    _, dtype, kinds = TYPES[kind]
    try:
        array = np.array(value)
    except ValueError:
        array = np.array(None)
    # No number at all has NumPy's type of floats.
    if array.dtype.kind not in kinds and array.size:
        _refuse(value, kind)
    with np.errstate(over="ignore"):
        found: npt.NDArray[Any] = array.astype(dtype)
    if dtype == np.float32 and np.any(np.isinf(found) & np.isfinite(array)):
        _refuse(value, kind)
    if "f" not in kinds and np.any(found != array):
        _refuse(value, kind)
    return found


def _strings(value: Any) -> npt.NDArray[Any]:
    shape = _shape(value)
    flat: list[bytes] = []
    _fill(value, shape, 0, lambda leaf: flat.append(_bytes(leaf)))
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(shape)


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass")
    if not isinstance(leaf, dict):
        raise RequestError(400, _type_error(leaf, "string"))
    if not _is_b64(leaf):
        raise RequestError(
            400, f"JSON Value: {_shown(leaf)} not formatted correctly for base64 data"
        )
    try:
        return base64.b64decode(leaf["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "Unable to base64 decode") from error


def _refuse(value: Any, kind: str) -> None:
    """Go through the values one by one to say which does not fit."""
    name, dtype, kinds = TYPES[kind]

    def check(leaf: Any) -> None:
        number = isinstance(leaf, bool) if kinds == "b" else _is_number(leaf, "f" in kinds)
        if not number:
            raise RequestError(400, _type_error(leaf, name))
        if kinds != "b" and "f" not in kinds and not _within(leaf, dtype):
            raise RequestError(400, _type_error(leaf, name))
        if "f" in kinds and np.isfinite(float(leaf)) and abs(leaf) > float(np.finfo(dtype).max):
            raise RequestError(
                400,
                f"Cannot convert JSON value: {_shown(leaf)} to {name} without loss of precision.",
            )

    _fill(value, _shape(value), 0, check)
    raise RequestError(400, f"JSON Value: {_shown(value)} is not of expected type: {name}")


def _is_number(leaf: Any, fractions: bool) -> bool:
    return isinstance(leaf, (int, float) if fractions else int) and not isinstance(leaf, bool)


def _within(leaf: int, dtype: Any) -> bool:
    return bool(np.iinfo(dtype).min <= leaf <= np.iinfo(dtype).max)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first elements tell."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _fill(value: Any, shape: tuple[int, ...], level: int, take: Any) -> None:
    """Call ``take`` with every leaf; raise where the lists are not of the shape."""
    if not isinstance(value, list):
        if level != len(shape):
            raise RequestError(
                400,
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}",
            )
        take(value)
        return
    if level >= len(shape):
        raise RequestError(
            400, f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise RequestError(
            400,
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}",
        )
    for part in value:
        _fill(part, shape, level + 1, take)


def _type_error(leaf: Any, name: str) -> str:
    kinds = {str: "String", list: "Array", dict: "Object", type(None): "Null"}
    kind = str(leaf) if isinstance(leaf, bool) else kinds.get(type(leaf), "Number")
    return f"JSON Value: {_shown(leaf)} Type: {kind} is not of expected type: {name}"


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_b64(value)


def _shown(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
