"""The warm-up requests of an export, which TensorFlow Serving replays before a version goes live.

The format is a TFRecord file of ``tensorflow.serving.PredictionLog`` messages. They are built from
a description of the few fields that are used, so that an export does not need the package
``tensorflow-serving-api``; field numbers are those of its ``prediction_log.proto``,
``predict.proto`` and ``model.proto``. The package names differ: both may be loaded in one process.
"""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image
from tensorflow.core.framework import tensor_pb2

from semtf.retrieval.storage import Storage
from semtf.run import Run

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
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


def write_warmup(folder: Path, run: Run, classes: tuple[int, ...]) -> None:
    """Write one request a signature into an export, each with one image of every case.

    A signature that searches meets every case's index: the first search of each is slow.
    """
    images = np.stack([Storage.open(run.storage(case)).keys[0] for case in run.cases])
    path = folder / WARMUP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in sample_inputs(images, run.cases, classes).items():
            writer.write(prediction_log(name, inputs))


def sample_inputs(
    images: npt.NDArray[np.uint8], cases: tuple[int, ...], classes: tuple[int, ...]
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """For every signature, inputs of images ``[n, H, W]`` whose cases are known, ``[n]``.

    ``classes`` are the cases that the classifier knows, in its order.
    """
    files = {"image_bytes": np.array([png_bytes(image) for image in images], object)}
    floats = {"images": images.astype(np.float32)}
    case = {"case": np.array(cases, np.int32)}
    shares = (np.array(cases)[:, None] == np.array(classes)).astype(np.float32)
    return {
        "serving_default": files,
        "predict_float": floats,
        "predict_png": files,
        "estimate": files,
        "estimate_given_case": files | {"case_probabilities": shares},
        "neighbours": files,
        "classify": files,
        "adapt": files | case,
        "adapt_float": floats | case,
        "stored": case
        | {"pair": np.zeros(len(cases), np.int32), "shift": np.zeros((len(cases), 2), np.int32)},
    }


def png_bytes(image: npt.NDArray[np.uint8]) -> bytes:
    """An image ``[H, W]`` as the bytes of a grey PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def prediction_log(signature: str, inputs: dict[str, npt.NDArray[Any]]) -> bytes:
    """One serialised ``PredictionLog`` with a request of a signature."""
    log = _prediction_log_class()()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    serialised: bytes = log.SerializeToString()
    return serialised


def read_warmup(folder: Path) -> list[tuple[str, dict[str, npt.NDArray[Any]]]]:
    """The warm-up requests of an export: signature names and inputs."""
    requests = []
    for record in tf.data.TFRecordDataset(str(folder / WARMUP)).as_numpy_iterator():
        request = _prediction_log_class().FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        requests.append((request.model_spec.signature_name, inputs))
    return requests


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
    found = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.PredictionLog")
    return message_factory.GetMessageClass(found)


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
