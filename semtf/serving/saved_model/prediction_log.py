"""One warm-up request as a ``tensorflow.serving.PredictionLog`` message.

The messages are built from a description of the few fields that are used, so that an export does
not need the package ``tensorflow-serving-api``; field numbers are those of its
``prediction_log.proto``, ``predict.proto`` and ``model.proto``. The package names differ, because
both may be loaded in one process.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy.typing as npt
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

PACKAGE = "semtf.warmup"
FIELDS = {
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "PredictRequest.InputsEntry": {"key": (1, "string"), "value": (2, "tensorflow.TensorProto")},
    "PredictRequest": {
        "model_spec": (1, f"{PACKAGE}.ModelSpec"),
        "inputs": (2, f"{PACKAGE}.PredictRequest.InputsEntry"),
    },
    "PredictLog": {"request": (1, f"{PACKAGE}.PredictRequest")},
    "PredictionLog": {"predict_log": (6, f"{PACKAGE}.PredictLog")},
}
"""By message, the number and type of each of its fields."""


def serialise(signature: str, inputs: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of a ``PredictionLog`` with a request of a signature."""
    log = _prediction_log_class()()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    serialised: bytes = log.SerializeToString(deterministic=True)
    return serialised


def parse(record: bytes) -> tuple[str, dict[str, npt.NDArray[Any]]]:
    """The signature's name and the inputs of a serialised ``PredictionLog``."""
    request = _prediction_log_class().FromString(record).predict_log.request
    inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
    return request.model_spec.signature_name, inputs


@cache
def _prediction_log_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="semtf/warmup.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name],
    )
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in ("ModelSpec", "PredictRequest", "PredictLog", "PredictionLog"):
        messages[name] = file.message_type.add(name=name)
    entry = messages["PredictRequest"].nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    messages["PredictRequest.InputsEntry"] = entry
    for name, fields in FIELDS.items():
        for field, (number, kind) in fields.items():
            _add_field(messages[name], field, number, kind)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    descriptor = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.PredictionLog")
    return message_factory.GetMessageClass(descriptor)


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    repeated = kind.endswith("Entry")
    field = message.field.add(
        name=name,
        number=number,
        label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
        type=kinds.TYPE_STRING if kind == "string" else kinds.TYPE_MESSAGE,
    )
    if kind != "string":
        field.type_name = f".{kind}"
