"""A client of TensorFlow Serving over gRPC; it needs the packages of the extra ``grpc``."""

from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from semtf.serving.client.base import RemoteEstimator, ServerError
from semtf.serving.messages import readable

OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
RETRY = """{"methodConfig": [{
    "name": [{"service": "tensorflow.serving.PredictionService"}],
    "retryPolicy": {"maxAttempts": 5, "initialBackoff": "1s", "maxBackoff": "10s",
        "backoffMultiplier": 3, "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}
}]}"""


class GrpcClient(RemoteEstimator):
    """Depth maps from TensorFlow Serving, over gRPC: arrays are sent as they are."""

    def __init__(
        self,
        target: str,
        *,
        model: str = "semtf",
        version: int | None = None,
        timeout: float = 60.0,
        batch: int = 64,
    ) -> None:
        """Args:
        target: host and port, such as ``127.0.0.1:8500``.
        model: its name.
        version: of the model; the newest one where None.
        timeout: seconds to wait for an answer.
        batch: images a request.
        """
        options = [*OPTIONS, ("grpc.service_config", RETRY)]
        self._channel = grpc.insecure_channel(target, options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model
        self._version = version
        self._timeout = timeout
        self.batch = batch

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def call(self, signature: str, instances: Sequence[dict[str, Any]]) -> list[Any]:
        """As `RemoteEstimator.call`, in requests of ``batch`` instances."""
        rows: list[Any] = []
        for start in range(0, len(instances), self.batch):
            part = instances[start : start + self.batch]
            request = predict_pb2.PredictRequest()
            self._set_model(request.model_spec)
            request.model_spec.signature_name = signature
            for name in part[0]:
                request.inputs[name].CopyFrom(_tensor([instance[name] for instance in part]))
            outputs = self._call(self._stub.Predict, request).outputs
            columns = {name: _column(name, outputs[name]) for name in sorted(outputs)}
            if len(columns) == 1:
                rows += next(iter(columns.values()))
            else:
                values = zip(*columns.values(), strict=True)
                rows += [dict(zip(columns, value, strict=True)) for value in values]
        return rows

    def metadata(self) -> dict[str, Any]:
        """Name, version and signatures of the model, as over REST."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._set_model(request.model_spec)
        response = self._call(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        spec, definition = (
            json_format.MessageToDict(message, preserving_proto_field_name=True)
            for message in (response.model_spec, signatures)
        )
        return {"model_spec": spec, "metadata": {"signature_def": definition}}

    def _set_model(self, spec: Any) -> None:
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise ServerError(f"{error.code().name}: {readable(error.details())}") from error


def _tensor(values: list[Any]) -> Any:
    if isinstance(values[0], bytes):
        return tf.make_tensor_proto(values, tf.string)
    array = np.asarray(values)
    return tf.make_tensor_proto(array, tf.int32 if array.dtype.kind == "i" else tf.float32)


def _column(name: str, proto: Any) -> list[Any]:
    """The rows of an output: bytes where its name says so, else text, else numbers."""
    array = tf.make_ndarray(proto)
    if array.dtype == object and not name.endswith("_bytes"):
        array = np.char.decode(array.astype(bytes), "utf-8")
    return array.tolist() if array.ndim == 1 or array.dtype.kind == "U" else list(array)
