"""TensorFlow Serving's REST contract: JSON to arrays and back, with its words for what is wrong.

The behaviour, the messages included, is that of ``json_tensor.cc`` and ``http_rest_api_util.cc``
of https://github.com/tensorflow/serving. No TensorFlow here: the server imports none.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError, is_b64, shown, tensor

DEFAULT_SIGNATURE = "serving_default"
BYTES_SUFFIX = "_bytes"
Inputs = Mapping[str, Mapping[str, Any]]


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
        raise RequestError(400, f"JSON Value: {shown(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, or the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(
            400,
            f"JSON Value: {shown(document)} not formatted correctly. "
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
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of "
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
            400, f"JSON Value: {shown(document)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise RequestError(400, f"JSON Value: {shown(document)} No values in 'instances' array")
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
                f"{shown(instance)} keys must be equal to: {','.join(sorted(inputs))}",
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


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_b64(value)
