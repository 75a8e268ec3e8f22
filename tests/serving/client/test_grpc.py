"""The gRPC client, against TensorFlow Serving's service implemented on a loaded export."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2, text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from semtf.estimation.result import DepthResult
from semtf.serving import GrpcClient, ServerError
from semtf.serving.saved_model.docker_files import TEMPLATES
from semtf.serving.saved_model.warmup import WARMUP, read_warmup
from tests.serving.pngs import png


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and metadata of one export."""

    def __init__(self, export: Path) -> None:
        self.model = tf.saved_model.load(str(export))
        self.saved = saved_model_pb2.SavedModel.FromString((export / "saved_model.pb").read_bytes())

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.model_spec.name != "semtf":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
        inputs = {name: tf.constant(tf.make_ndarray(p)) for name, p in request.inputs.items()}
        try:
            outputs = self.model.signatures[request.model_spec.signature_name](**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        answer = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.saved.meta_graphs[0].signature_def.items():
            signatures.signature_def[name].CopyFrom(definition)
        answer = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        answer.metadata["signature_def"].CopyFrom(packed)
        return answer


@pytest.fixture(scope="module")
def target(exact: Path) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(exact), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def test_grpc_client_gives_what_the_estimator_gives(
    target: str, expected: DepthResult, images: np.ndarray
) -> None:
    with GrpcClient(target, batch=3) as client:
        found = client.predict(images)
        np.testing.assert_array_equal(client.depth(images), expected.grey())
        assert client.shape == (72, 48)
        adapted = client.adapt(images, [1, 2, 3, 4, 1, 2, 3, 4])
        assert adapted.shape == images.shape
        with pytest.raises(ServerError, match="INVALID_ARGUMENT: image 1: it is no PNG file"):
            client.classify([png(images[0]), b"hello"])
    np.testing.assert_allclose(found.depth, expected.depth, atol=1e-3)
    np.testing.assert_allclose(found.sigma, expected.sigma, atol=1e-3)
    np.testing.assert_array_equal(found.case, expected.case)
    assert found.flags == expected.flags
    for row, wanted in zip(found.neighbours, expected.neighbours, strict=True):
        assert [(n.pair, n.shift) for n in row] == [(n.pair, n.shift) for n in wanted]
    with GrpcClient(target, model="other") as client, pytest.raises(ServerError, match="NOT_FOUND"):
        client.classify(images)


def test_warmup_requests_are_prediction_logs(exact: Path) -> None:
    records = list(tf.data.TFRecordDataset(str(exact / WARMUP)).as_numpy_iterator())
    read = read_warmup(exact)
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert [log.predict_log.request.model_spec.signature_name for log in logs] == [
        name for name, _ in read
    ]
    signatures = set(tf.saved_model.load(str(exact)).signatures)
    assert {name for name, _ in read} == signatures
    for log, (_, inputs) in zip(logs, read, strict=True):
        given = log.predict_log.request.inputs
        assert set(given) == set(inputs)
        for name, value in inputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(given[name]), value)
        # Written anew without the fields that TensorFlow Serving does not know, it is as long.
        again = prediction_log_pb2.PredictionLog.FromString(log.SerializeToString())
        again.DiscardUnknownFields()
        assert again.ByteSize() == log.ByteSize()


def test_models_config_is_one_of_tensorflow_serving() -> None:
    text = (TEMPLATES / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("semtf", "/models/semtf")
    assert model.model_version_policy.latest.num_versions == 1
