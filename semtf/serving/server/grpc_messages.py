"""Messages of TensorFlow Serving's PredictionService, to arrays and back."""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from semtf.serving.frames import Tensors
from semtf.serving.server.json_tensor import RequestError, shown
from semtf.serving.server.predicting import Predicted, SignatureDef
from semtf.serving.server.rest import DEFAULT_SIGNATURE, Request, signature_inputs
from semtf.serving.server.rows import check_count

FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
}
"""By type, the field of a ``TensorProto`` that holds its values; those of small integers are
``int_val``."""


def predict_response(message: Any, predicted: Predicted) -> Any:
    """The ``PredictResponse`` to a ``PredictRequest``, with the outputs that it asks for."""
    response = predict_pb2.PredictResponse()
    signature = predicted.request.signature
    specify(response.model_spec, message.model_spec.name, predicted.version, signature)
    wanted = list(message.output_filter or predicted.outputs)
    for output in wanted:
        if output not in predicted.outputs:
            raise RequestError(400, f"output tensor alias not found in signature: {shown(output)}")
        if wanted.count(output) > 1:
            raise RequestError(400, f"duplicate output tensor alias: {output}")
        fill_proto(response.outputs[output], predicted.outputs[output])
    return response


def fill_proto(proto: Any, array: Any) -> None:
    """Write an array into a ``TensorProto``, field by field.

    TensorFlow Serving does so by default, and there are clients that read nothing else; TensorFlow
    in Python would write the bytes of ``tensor_content``.
    """
    wanted = tf.string if array.dtype == object else tf.dtypes.as_dtype(array.dtype)
    proto.dtype = wanted.as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, FIELDS.get(wanted.name, "int_val")).extend(array.ravel().tolist())


def model_spec(spec: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label that a message asks for."""
    if not spec.name:
        raise RequestError(400, "Missing ModelSpec")
    choice = spec.WhichOneof("version_choice")
    number = spec.version.value if choice == "version" else None
    return spec.name, number, spec.version_label if choice == "version_label" else None


def specify(spec: Any, name: str, version: int, signature: str) -> None:
    """Fill a ``ModelSpec``."""
    spec.name, spec.version.value, spec.signature_name = name, version, signature


def predict_request(message: Any, signature_def: SignatureDef, limits: Any) -> Request:
    """The arrays of a ``PredictRequest``; raises RequestError as TensorFlow Serving does."""
    name = message.model_spec.signature_name or DEFAULT_SIGNATURE
    expected = signature_inputs(signature_def, name)
    sent = set(message.inputs)
    if sent != set(expected):
        extra, missing = sorted(sent - set(expected)), sorted(set(expected) - sent)
        raise RequestError(
            400,
            f"input size does not match signature: {len(sent)}!={len(expected)}. Sent extra: "
            f"{{{shown(','.join(extra))}}}. Missing but required: {{{','.join(missing)}}}.",
        )
    tensors: Tensors = {
        key: _array(key, message.inputs[key], info["dtype"], limits)
        for key, info in expected.items()
    }
    return Request(name, tensors, by_row=False)


def _array(name: str, proto: Any, dtype: str, limits: Any) -> Any:
    """The array of a ``TensorProto``.

    A few bytes can stand for a large tensor of equal values, so its size is looked at first.
    """
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    wanted = tf.dtypes.as_dtype(dtype.removeprefix("DT_").lower())
    if proto.dtype != wanted.as_datatype_enum:
        raise RequestError(
            400,
            f"{name} is expected to be {wanted.name}, but {_type_name(proto.dtype)} is provided",
        )
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise RequestError(400, f"{name}: the shape of a tensor must be known")
    if sizes:
        check_count(sizes[0], limits.instances)
    if int(np.prod(sizes, dtype=object)) * wanted.size > limits.body:
        raise RequestError(413, f"{name}: a tensor of shape {sizes} is too large")
    try:
        array = tf.make_ndarray(proto)
    except (ValueError, TypeError, IndexError) as error:
        raise RequestError(400, f"{name}: its values do not fill the shape {sizes}") from error
    if wanted == tf.string and not all(isinstance(value, bytes) for value in array.flat):
        raise RequestError(400, f"{name}: its values do not fill the shape {sizes}")
    return array


def _type_name(number: int) -> str:
    """The name of a type by its number in a ``TensorProto``."""
    if not number:
        return "nothing"
    try:
        return str(tf.dtypes.as_dtype(number).name)
    except TypeError:
        return f"the unknown type {number}"
