"""TensorFlow Serving's gRPC services over the same models: PredictionService and ModelService.

It needs the packages of the extra ``grpc``. Their messages hold tensors of TensorFlow, which is
imported into the server's process with them; without gRPC the server imports none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2, json_format
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from semtf.serving.frames import Tensors
from semtf.serving.server.access import check_token
from semtf.serving.server.json_tensor import RequestError, shown
from semtf.serving.server.metrics import STATUS
from semtf.serving.server.models import Models
from semtf.serving.server.predicting import Predicted, Predicting, SignatureDef
from semtf.serving.server.rest import DEFAULT_SIGNATURE, Request
from semtf.serving.server.rows import check_count

log = logging.getLogger("semtf.serving")
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
SIGNATURE_DEF = "signature_def"


class GrpcServer:
    """Serves models over gRPC in the running event loop.

    Args:
        models: what is served.
        predicting: answers predict requests, those of REST too: both share their limits.
        address: host and port to listen on.
        token: the bearer token that clients must send in the metadata ``authorization``.
    """

    def __init__(
        self, models: Models, predicting: Predicting, address: str, token: str | None = None
    ) -> None:
        self._service = _Service(models, predicting, token)
        self._limits = predicting.limits
        self._address = address
        self._server: Any = None

    async def start(self) -> None:
        """Listen; raises RuntimeError where the port is taken."""
        options = [
            ("grpc.max_receive_message_length", self._limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(options=options, interceptors=[_Guard()])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(self._service), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(self._service), self._server
        )
        self._server.add_insecure_port(self._address)
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Let calls under way finish within some seconds, and end."""
        await self._server.stop(seconds)


class _Guard(grpc.aio.ServerInterceptor):
    """Answers messages that cannot be parsed; gRPC would log where in Python that was noticed."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """The handler of a call, which gets None for such a message."""
        handler = await continuation(details)
        if handler is None:
            return None

        def parsed(content: bytes) -> Any:
            try:
                return handler.request_deserializer(content)
            except DecodeError:
                return None

        async def answer(request: Any, context: Any) -> Any:
            if request is None:
                code = grpc.StatusCode.INVALID_ARGUMENT
                await context.abort(code, "the message cannot be parsed")
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, parsed, handler.response_serializer)


async def _unimplemented(request: Any, context: Any) -> None:
    """End a call of a method that is not served."""
    code = grpc.StatusCode.UNIMPLEMENTED
    await context.abort(code, "only Predict, GetModelMetadata and GetModelStatus are served")


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, service: "_Service") -> None:
        self._service = service

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._service.answer(self._service.predict, "predict", request, context)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._service.answer(self._service.metadata, "status", request, context)

    async def Classify(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        await _unimplemented(request, context)

    async def Regress(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        await _unimplemented(request, context)

    async def MultiInference(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        await _unimplemented(request, context)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, service: "_Service") -> None:
        self._service = service

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return await self._service.answer(self._service.status, "status", request, context)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> None:  # noqa: N802
        await _unimplemented(request, context)


class _Service:
    """The answers to the messages of both services."""

    def __init__(self, models: Models, predicting: Predicting, token: str | None) -> None:
        self._models = models
        self._predicting = predicting
        self._token = token

    async def answer(
        self, respond: Callable[[Any], Awaitable[Any]], kind: str, request: Any, context: Any
    ) -> Any:
        """The response to a message; where it fails, the call ends with a status that says why."""
        status, message = 200, ""
        try:
            metadata = {str(key): value for key, value in context.invocation_metadata()}
            check_token(_text(metadata.get("authorization", "")), self._token)
            response = await respond(request)
        except RequestError as error:
            status, message = error.status, str(error)
        except Exception:  # the server goes on, and its client learns that it failed
            log.exception("%s over gRPC failed", kind)
            status, message = 500, "the server failed; its log says why"
        self._predicting.metrics.requests.labels(kind, str(status)).inc()
        if status != 200:
            code = grpc.StatusCode[STATUS.get(status, "INTERNAL")]
            await context.abort(code, message.encode("utf-8", "replace").decode("utf-8"))
        return response

    async def predict(self, message: Any) -> Any:
        """A ``PredictResponse`` to a ``PredictRequest``."""
        name, number, label = _model(message.model_spec)

        async def read(signature_def: SignatureDef) -> Request:
            return _request(message, signature_def, self._predicting.limits)

        with self._predicting.counted():
            versions = self._models.served(name, number)
            predicted = await self._predicting.predict(versions, number, label, read)
        # In a thread, so that a large answer does not keep other requests waiting.
        return await asyncio.to_thread(_predict_response, message, predicted)

    async def metadata(self, message: Any) -> Any:
        """A ``GetModelMetadataResponse`` with the signatures of a version."""
        name, number, label = _model(message.model_spec)
        if not message.metadata_field:
            raise RequestError(
                400, "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for wanted in message.metadata_field:
            if wanted != SIGNATURE_DEF:
                raise RequestError(400, f"Metadata field {wanted} is not supported")
        version = self._models.served(name, number).find(number, label)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        definitions = {SIGNATURE_DEF: version.signature_def()}
        json_format.ParseDict(definitions, signatures, ignore_unknown_fields=True)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _specify(response.model_spec, name, version.number, "")
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata[SIGNATURE_DEF].CopyFrom(packed)
        return response

    async def status(self, message: Any) -> Any:
        """A ``GetModelStatusResponse`` with the states of a model's versions."""
        name, number, label = _model(message.model_spec)
        versions = self._models.described(name, number)
        if label is not None:
            number = versions.find(None, label).number
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state, code, text in versions.states(number):
            entry = response.model_version_status.add(version=version, state=state)
            entry.status.error_code = 0 if code == "OK" else 2
            entry.status.error_message = text
        return response


def _predict_response(message: Any, predicted: Predicted) -> Any:
    response = predict_pb2.PredictResponse()
    signature = predicted.request.signature
    _specify(response.model_spec, message.model_spec.name, predicted.version, signature)
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


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _model(spec: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label that a message asks for."""
    if not spec.name:
        raise RequestError(400, "Missing ModelSpec")
    choice = spec.WhichOneof("version_choice")
    number = spec.version.value if choice == "version" else None
    return spec.name, number, spec.version_label if choice == "version_label" else None


def _specify(spec: Any, name: str, version: int, signature: str) -> None:
    spec.name, spec.version.value, spec.signature_name = name, version, signature


def _request(message: Any, signature_def: SignatureDef, limits: Any) -> Request:
    """The arrays of a ``PredictRequest``; raises RequestError as TensorFlow Serving does."""
    name = message.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in signature_def:
        raise RequestError(
            400, f'Serving signature name: "{shown(name)}" not found in signature def'
        )
    expected: Mapping[str, Any] = signature_def[name].get("inputs", {})
    if not expected:
        raise RequestError(400, f"Failed to get input map for signature: {name}")
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
