"""TensorFlow Serving's gRPC services over fake workers, asked with its own stubs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from semtf.serving.server.grpc_messages import fill_proto
from semtf.serving.server.grpc_server import GrpcServer
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.models import Models
from semtf.serving.server.predicting import Limits
from semtf.serving.server.version import Options
from tests.serving.server.fake_server import fake_models
from tests.serving.server.fake_worker import BAD, FakeWorker
from tests.serving.server.test_versions import add

TOKEN = "a-token-of-some-length"  # noqa: S105 - of this test only
SIGNATURE = {
    "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}},
    "outputs": {"y": {"dtype": "DT_FLOAT", "name": "y:0"}},
    "method_name": "tensorflow/serving/predict",
}


STRINGS = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}
SIGNATURES = {
    "double": SIGNATURE,
    "nothing": SIGNATURE | {"inputs": {}},
    "strings": SIGNATURE | {"inputs": {"x": STRINGS}},
}


def play(
    folder: Path,
    scenario: Callable[[Any, Any, Models], Awaitable[None]],
    token: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Run a scenario with the stubs of both services."""

    async def played() -> None:
        add(folder, 3)
        options = Options(window=0.0, labels={"stable": 3})
        models, predicting = fake_models(
            ModelConfig("m", folder, options), lambda: FakeWorker(SIGNATURES), limits
        )
        await models.served("m", None).update()
        server = GrpcServer(models, predicting, f"unix:{folder}/socket", token)
        await server.start()
        async with grpc.aio.insecure_channel(f"unix:{folder}/socket") as channel:
            await scenario(
                prediction_service_pb2_grpc.PredictionServiceStub(channel),
                model_service_pb2_grpc.ModelServiceStub(channel),
                models,
            )
        await server.stop(1)
        await models.close()

    asyncio.run(played())


def request(values: Any = (1.0, 2.0), signature: str = "double", **spec: Any) -> Any:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = spec.pop("name", "m")
    message.model_spec.signature_name = signature
    if "version" in spec:
        message.model_spec.version.value = spec["version"]
    if "label" in spec:
        message.model_spec.version_label = spec["label"]
    if values is not None:
        message.inputs["x"].CopyFrom(tf.make_tensor_proto(np.asarray(values, np.float32)))
    return message


def test_predict_by_name_version_and_label(tmp_path: Path) -> None:
    async def scenario(stub: Any, _: Any, models: Models) -> None:
        for spec in ({}, {"version": 3}, {"label": "stable"}):
            response = await stub.Predict(request(**spec))
            np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), [10, 20])
            # Clients such as min-tfs-client read no tensor_content.
            assert list(response.outputs["y"].float_val) == [10, 20]
            assert response.model_spec.name == "m"
            assert response.model_spec.version.value == 3
            assert response.model_spec.signature_name == "double"
        filtered = request()
        filtered.output_filter.append("y")
        assert set((await stub.Predict(filtered)).outputs) == {"y"}

    play(tmp_path, scenario)


def changed(**fields: Any) -> Any:
    """A request whose tensor has other fields."""
    message = request()
    tensor = message.inputs["x"]
    for name, value in fields.items():
        if name == "shape":
            del tensor.tensor_shape.dim[:]
            for size in value:
                tensor.tensor_shape.dim.add(size=size)
        else:
            setattr(tensor, name, value)
    return message


def with_more(name: str) -> Any:
    message = request()
    message.inputs[name].CopyFrom(tf.make_tensor_proto([1.0]))
    return message


def filtered(*names: str) -> Any:
    message = request()
    message.output_filter.extend(names)
    return message


REFUSED = {
    "model": (
        request(name="other"),
        "NOT_FOUND",
        r"Servable not found for request: Latest\(other\)",
    ),
    "version": (request(version=4), "NOT_FOUND", r"Specific\(m, 4\)"),
    "label": (request(label="new"), "INVALID_ARGUMENT", "Unrecognized .* version label: new"),
    "no name": (request(name=""), "INVALID_ARGUMENT", "Missing ModelSpec"),
    "signature": (request(signature="s"), "INVALID_ARGUMENT", '"s" not found in signature def'),
    "no input": (request(None), "INVALID_ARGUMENT", r"Missing but required: \{x\}"),
    "more inputs": (with_more("z"), "INVALID_ARGUMENT", r"Sent extra: \{z\}"),
    "other type": (changed(dtype=7), "INVALID_ARGUMENT", "float32, but string is provided"),
    "no type": (changed(dtype=0), "INVALID_ARGUMENT", "but nothing is provided"),
    "too few values": (changed(tensor_content=b"1234567"), "INVALID_ARGUMENT", "do not fill"),
    "negative": (changed(shape=(-1,)), "INVALID_ARGUMENT", "must be known"),
    "too many": (changed(shape=(257,)), "INVALID_ARGUMENT", "257 instances are too many"),
    "bomb": (changed(shape=(1, 10**9, 10**9)), "INVALID_ARGUMENT", "too large"),
    "the model's word": (request([1, BAD]), "INVALID_ARGUMENT", "1 is bad"),
    "output": (filtered("z"), "INVALID_ARGUMENT", "alias not found in signature: z"),
    "output twice": (filtered("y", "y"), "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
    "unknown type": (changed(dtype=99999), "INVALID_ARGUMENT", "but the unknown type 99999 is"),
    "no inputs": (request(None, "nothing"), "INVALID_ARGUMENT", "Failed to get input map"),
    "long name": (request(signature="s" * 10**6), "INVALID_ARGUMENT", r'"s{100}\.\.\." not found'),
}


def test_refused_requests(tmp_path: Path) -> None:
    async def scenario(stub: Any, _: Any, models: Models) -> None:
        for name, (message, code, details) in REFUSED.items():
            with pytest.raises(grpc.aio.AioRpcError, match=details) as refused:
                await stub.Predict(message)
            assert refused.value.code().name == code, name
        await stub.Predict(request())

    play(tmp_path, scenario)


def test_strings_that_are_not_there(tmp_path: Path) -> None:
    message = request(None, "strings")
    message.inputs["x"].dtype = 7
    message.inputs["x"].tensor_shape.dim.add(size=2)

    async def scenario(stub: Any, _: Any, models: Models) -> None:
        with pytest.raises(grpc.aio.AioRpcError, match=r"do not fill the shape \[2\]"):
            await stub.Predict(message)

    play(tmp_path, scenario)


def test_what_is_no_message_and_what_is_not_served_log_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(stub: Any, status: Any, models: Models) -> None:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            with pytest.raises(grpc.aio.AioRpcError, match="cannot be parsed") as refused:
                await raw(b"\xff" * 100)
        assert refused.value.code().name == "INVALID_ARGUMENT"
        calls = {
            stub.Classify: classification_pb2.ClassificationRequest(),
            stub.Regress: regression_pb2.RegressionRequest(),
            stub.MultiInference: inference_pb2.MultiInferenceRequest(),
            status.HandleReloadConfigRequest: model_management_pb2.ReloadConfigRequest(),
        }
        for call, message in calls.items():
            with pytest.raises(grpc.aio.AioRpcError, match="only Predict") as refused:
                await call(message)
            assert refused.value.code().name == "UNIMPLEMENTED"

    play(tmp_path, scenario)
    assert caplog.text == ""


def test_a_bomb_of_equal_values_is_not_unpacked(tmp_path: Path) -> None:
    message = request()
    message.inputs["x"].Clear()
    message.inputs["x"].dtype = 1
    message.inputs["x"].float_val.append(1.0)
    for size in (200, 1 << 30):
        message.inputs["x"].tensor_shape.dim.add(size=size)

    async def scenario(stub: Any, _: Any, models: Models) -> None:
        with pytest.raises(grpc.aio.AioRpcError, match="too large"):
            await stub.Predict(message)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "kind", ["float32", "float64", "int8", "uint8", "int32", "int64", "uint32", "uint64", "bool"]
)
def test_outputs_of_every_type(kind: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], kind)
    proto = tensor_pb2.TensorProto()
    fill_proto(proto, array)
    found = tf.make_ndarray(proto)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_outputs_of_strings() -> None:
    array = np.empty((2, 1), object)
    array[:] = [[b"a"], [b"\xff"]]
    proto = tensor_pb2.TensorProto()
    fill_proto(proto, array)
    assert tf.make_ndarray(proto).tolist() == [[b"a"], [b"\xff"]]


def test_metadata_and_status(tmp_path: Path) -> None:
    async def scenario(stub: Any, status: Any, models: Models) -> None:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "m"
        response = await stub.GetModelMetadata(asked)
        assert response.model_spec.version.value == 3
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        definition = signatures.signature_def["double"]
        assert definition.inputs["x"].dtype == tf.float32.as_datatype_enum
        assert definition.inputs["x"].tensor_shape.dim[0].size == -1
        for field, said in ((["other"], "other is not supported"), ([], "at least one")):
            wrong = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=field)
            wrong.model_spec.name = "m"
            with pytest.raises(grpc.aio.AioRpcError, match=said):
                await stub.GetModelMetadata(wrong)
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = "m"
        (entry,) = (await status.GetModelStatus(asked)).model_version_status
        assert (entry.version, entry.state, entry.status.error_code) == (3, 30, 0)
        asked.model_spec.name = "other"
        with pytest.raises(grpc.aio.AioRpcError, match="any versions of model other") as refused:
            await status.GetModelStatus(asked)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    play(tmp_path, scenario)


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    async def scenario(stub: Any, status: Any, models: Models) -> None:
        for metadata in (None, [("authorization", "Bearer wrong")], [("authorization", TOKEN)]):
            with pytest.raises(grpc.aio.AioRpcError, match="Bearer TOKEN") as refused:
                await stub.Predict(request(), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await stub.Predict(request(), metadata=[("authorization", f"bearer {TOKEN}")])

    play(tmp_path, scenario, TOKEN)


def test_limits(tmp_path: Path) -> None:
    async def scenario(stub: Any, status: Any, models: Models) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Predict(request(np.zeros(2000)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        (version,) = models.served("m", None).known.values()
        version.worker.gate.clear()  # type: ignore[union-attr]
        first = asyncio.ensure_future(stub.Predict(request()))
        while not version.active:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError, match="1 requests are under way") as refused:
            await stub.Predict(request())
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await first
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    play(tmp_path, scenario, limits=Limits(body=4000, pending=1, answering=0.5))
