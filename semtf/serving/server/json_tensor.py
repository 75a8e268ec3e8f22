"""Values of JSON as arrays of a TensorFlow type; those that do not fit have error messages."""

import base64
import binascii
import json
from typing import Any

import numpy as np
import numpy.typing as npt

TYPES = {
    "DT_FLOAT": ("float", np.float32, "iuf"),
    "DT_DOUBLE": ("double", np.float64, "iuf"),
    "DT_INT8": ("int8", np.int8, "iu"),
    "DT_INT16": ("int16", np.int16, "iu"),
    "DT_INT32": ("int32", np.int32, "iu"),
    "DT_INT64": ("int64", np.int64, "iu"),
    "DT_UINT8": ("uint8", np.uint8, "iu"),
    "DT_UINT16": ("uint16", np.uint16, "iu"),
    "DT_UINT32": ("uint32", np.uint32, "iu"),
    "DT_UINT64": ("uint64", np.uint64, "iu"),
    "DT_BOOL": ("bool", np.bool_, "b"),
}
"""By type of a tensor: TensorFlow's name, NumPy's type, and the kinds of numbers it takes."""
MAX_LEVELS = 32
"""Lists within lists that a value may have."""
MAX_SHOWN = 100
"""Characters of a wrong value that an error message repeats."""


class RequestError(Exception):
    """A request that cannot be answered, with its HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def tensor(value: Any, kind: str, *, booleans: bool = True) -> npt.NDArray[Any]:
    """An array of a TensorFlow type from nested lists.

    Args:
        value: what JSON has.
        kind: the type's name, such as ``DT_FLOAT``.
        booleans: whether there may be booleans among the leaves; without them the numbers need
            not be looked at one by one.

    Raises:
        RequestError: naming the first value that does not fit.
    """
    levels = len(_shape(value))
    if levels > MAX_LEVELS:
        raise RequestError(
            400, f"Encountered list at unexpected level: {levels} expected < {MAX_LEVELS}"
        )
    if kind == "DT_STRING":
        return _strings(value)
    if kind not in TYPES:
        raise RequestError(501, f"Conversion of JSON Value: {shortened(value)} to type: {kind}")
    name, dtype, kinds = TYPES[kind]
    if booleans and kinds != "b":
        # NumPy would take true among numbers for 1.
        _visit_leaves(value, _shape(value), 0, lambda leaf: _refuse_boolean(leaf, name))
    try:
        array = np.array(value)
    except ValueError:
        array = np.array(None)
    # An empty array fits every type, though NumPy gives it the type float64.
    if array.dtype.kind not in kinds and array.size:
        _refuse(value, kind)
    with np.errstate(over="ignore"):
        converted: npt.NDArray[Any] = array.astype(dtype)
    if dtype == np.float32 and np.any(np.isinf(converted) & np.isfinite(array)):
        _refuse(value, kind)
    if "f" in kinds and np.any(np.abs(array) > _largest_whole(dtype)):
        _visit_leaves(value, _shape(value), 0, lambda leaf: _refuse_inexact(leaf, name, dtype))
    if "f" not in kinds and np.any(converted != array):
        _refuse(value, kind)
    return converted


def _strings(value: Any) -> npt.NDArray[Any]:
    shape = _shape(value)
    flat: list[bytes] = []
    _visit_leaves(value, shape, 0, lambda leaf: flat.append(_bytes(leaf)))
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
            400, f"JSON Value: {shortened(leaf)} not formatted correctly for base64 data"
        )
    try:
        return _decoded(leaf["b64"])
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "Unable to base64 decode") from error


def _decoded(text: str) -> bytes:
    """The bytes of base64 as ``absl::Base64Unescape`` takes it.

    Spaces and line breaks count for nothing, and padding may be left out; the alphabet of
    base64url is refused.

    Raises:
        ValueError: the text is no such base64.
    """
    digits = "".join(text.split())
    bare = digits.rstrip("=")
    needed = -len(bare) % 4
    if len(digits) - len(bare) not in (0, needed):
        raise ValueError("wrong padding")
    return base64.b64decode(bare + "=" * needed, validate=True)


def _refuse_boolean(leaf: Any, name: str) -> None:
    if isinstance(leaf, bool):
        raise RequestError(400, _type_error(leaf, name))


def _refuse(value: Any, kind: str) -> None:
    """Raise RequestError that names the first of the values that does not fit the type."""
    name, dtype, kinds = TYPES[kind]

    def check(leaf: Any) -> None:
        fits = isinstance(leaf, bool) if kinds == "b" else _is_number(leaf, "f" in kinds)
        if not fits:
            raise RequestError(400, _type_error(leaf, name))
        if kinds != "b" and "f" not in kinds and not _within(leaf, dtype):
            raise RequestError(400, _type_error(leaf, name))
        if "f" in kinds:
            _refuse_inexact(leaf, name, dtype)

    _visit_leaves(value, _shape(value), 0, check)
    raise RequestError(400, f"JSON Value: {shortened(value)} is not of expected type: {name}")


def _refuse_inexact(leaf: float, name: str, dtype: Any) -> None:
    """Raise RequestError for a number that a type of floats cannot hold.

    Whole numbers must be held exactly, others lie in its range; comparing whole ones is exact.
    """
    largest = _largest_whole(dtype) if isinstance(leaf, int) else float(np.finfo(dtype).max)
    if largest < abs(leaf) < np.inf:
        raise RequestError(
            400,
            f"Cannot convert JSON value: {shortened(leaf)} to {name} without loss of precision.",
        )


def _largest_whole(dtype: Any) -> int:
    """Up to which number a type of floats holds every whole one, as TensorFlow Serving has it."""
    return int((1 << (np.finfo(dtype).nmant + 1)) - 1)


def _is_number(leaf: Any, fractions: bool) -> bool:
    return isinstance(leaf, (int, float) if fractions else int) and not isinstance(leaf, bool)


def _within(leaf: int, dtype: Any) -> bool:
    return bool(np.iinfo(dtype).min <= leaf <= np.iinfo(dtype).max)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that nested lists have if all are as long as the first ones."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _visit_leaves(value: Any, shape: tuple[int, ...], level: int, visit: Any) -> None:
    """Call ``visit`` with every leaf; raise RequestError where the lists are not of the shape."""
    if not isinstance(value, list):
        if level != len(shape):
            raise RequestError(
                400,
                f"JSON Value: {shortened(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}",
            )
        visit(value)
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
        _visit_leaves(part, shape, level + 1, visit)


def _type_error(leaf: Any, name: str) -> str:
    kinds = {str: "String", list: "Array", dict: "Object", type(None): "Null"}
    kind = str(leaf) if isinstance(leaf, bool) else kinds.get(type(leaf), "Number")
    return f"JSON Value: {shortened(leaf)} Type: {kind} is not of expected type: {name}"


def is_b64(value: Any) -> bool:
    """Whether a value is a base64 object: ``{"b64": "…"}`` and nothing else."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def is_object(value: Any) -> bool:
    """Whether a value is an object of names, and no base64 object."""
    return isinstance(value, dict) and not is_b64(value)


def shortened(value: Any) -> str:
    """A value as an error message repeats it: JSON, shortened."""
    return shown(json.dumps(value, separators=(",", ":"), default=str))


def shown(text: str) -> str:
    """A text, such as a name, as an error message repeats it: shortened."""
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
