"""Rows of a predict request (``instances``) as arrays, with TensorFlow Serving's error messages."""

import math
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError, is_object, shortened, shown, tensor

Inputs = Mapping[str, Mapping[str, Any]]


def read_rows(document: Mapping[str, Any], inputs: Inputs, limit: int, booleans: bool) -> Tensors:
    """The arrays of a request whose ``instances`` are rows.

    Args:
        document: the JSON object of the request.
        inputs: of the signature, by name.
        limit: most instances.
        booleans: whether the document may hold booleans.

    Raises:
        RequestError: with TensorFlow Serving's message, which names the row that does not fit.
    """
    instances = document["instances"]
    if not isinstance(instances, list):
        raise RequestError(
            400, f"JSON Value: {shortened(document)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise RequestError(400, f"JSON Value: {shortened(document)} No values in 'instances' array")
    check_count(len(instances), limit)
    try:
        if is_object(instances[0]):
            return _named_rows(instances, inputs, booleans)
        return _plain_rows(instances, inputs, booleans)
    except RowError:
        _explain(instances, inputs)
        raise


class RowError(RequestError):
    """A value in some row does not fit; which one is found out when somebody must be told."""


def _named_rows(instances: list[Any], inputs: Inputs, booleans: bool) -> Tensors:
    columns: dict[str, list[Any]] = {name: [] for name in inputs}
    for index, instance in enumerate(instances):
        if not is_object(instance):
            raise RequestError(400, f"Expecting object but got list at item {index} of input list")
        for name in instance:
            if name not in inputs:
                key = shown(name)
                raise RequestError(
                    400,
                    f"Failed to process element: {index} key: {key} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {key}",
                )
        if set(instance) != set(inputs):
            raise RequestError(
                400,
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{shortened(instance)} keys must be equal to: {','.join(sorted(inputs))}",
            )
        for name, column in columns.items():
            column.append(instance[name])
    return {
        name: _row_tensor(values, inputs[name]["dtype"], booleans)
        for name, values in columns.items()
    }


def _row_tensor(values: list[Any], kind: str, booleans: bool) -> npt.NDArray[Any]:
    try:
        return tensor(values, kind, booleans=booleans)
    except RequestError as error:
        raise RowError(error.status, str(error)) from error


def _explain(instances: list[Any], inputs: Inputs) -> None:
    """Raise RequestError for the first row that does not fit its type or the first row's shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    named = is_object(instances[0])
    only = next(iter(inputs))
    for index, instance in enumerate(instances):
        for name, value in instance.items() if named else ((only, instance),):
            try:
                shape = tensor(value, inputs[name]["dtype"]).shape
                _check_shape(shape, shapes.setdefault(name, shape))
            except RequestError as error:
                key = f" key: {name}" if named else ""
                raise RequestError(
                    error.status,
                    f"Failed to process element: {index}{key} of 'instances' list. Error: "
                    f"{'UNIMPLEMENTED' if error.status == 501 else 'INVALID_ARGUMENT'}: {error}",
                ) from error


def _check_shape(shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if math.prod(shape) != math.prod(first):
        raise RequestError(
            400, f"Expecting tensor size: {math.prod(first)} but got: {math.prod(shape)}"
        )
    if shape != first:
        expected, found = (f"[{','.join(map(str, sizes))}]" for sizes in (first, shape))
        raise RequestError(400, f"Expecting shape {expected} but got: {found}")


def _plain_rows(instances: list[Any], inputs: Inputs, booleans: bool) -> Tensors:
    if len(inputs) > 1:
        raise RequestError(
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        )
    for index, instance in enumerate(instances):
        if is_object(instance):
            raise RequestError(
                400, f"Expecting value/list but got object at item {index} of input list"
            )
    ((name, info),) = inputs.items()
    return {name: _row_tensor(instances, info["dtype"], booleans)}


def check_count(count: int, limit: int) -> None:
    """Raise RequestError where a request has too many instances."""
    if count > limit:
        raise RequestError(
            413, f"{count} instances are too many for one request; send at most {limit}"
        )
