"""Values of JSON as arrays of a TensorFlow type, and what is said of those that do not fit."""

import base64
import binascii
import json
from typing import Any

import numpy as np
import numpy.typing as npt

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


class RequestError(Exception):
    """A request that cannot be answered, with its HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def tensor(value: Any, kind: str) -> npt.NDArray[Any]:
    """An array of a TensorFlow type from nested lists.

    Raises:
        RequestError: naming the first value that does not fit.
    """
    if kind == "DT_STRING":
        return _strings(value)
    if kind not in TYPES:
        raise RequestError(501, f"Conversion of JSON Value: {shown(value)} to type: {kind}")
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
    if not is_b64(leaf):
        raise RequestError(
            400, f"JSON Value: {shown(leaf)} not formatted correctly for base64 data"
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
                f"Cannot convert JSON value: {shown(leaf)} to {name} without loss of precision.",
            )

    _fill(value, _shape(value), 0, check)
    raise RequestError(400, f"JSON Value: {shown(value)} is not of expected type: {name}")


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
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON "
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
    return f"JSON Value: {shown(leaf)} Type: {kind} is not of expected type: {name}"


def is_b64(value: Any) -> bool:
    """Whether a value is a base64 object: ``{"b64": "…"}`` and nothing else."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def shown(value: Any) -> str:
    """A value as an error message repeats it: JSON, shortened."""
    text = json.dumps(value, separators=(",", ":"), default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
