"""TensorFlow Serving's gRPC services over the same models: PredictionService and ModelService.

It needs the packages of the extra ``grpc``. Their messages hold tensors of TensorFlow, which is
imported into the server's process with them; without gRPC the server imports none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2, json_format
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from semtf.serving.server.access import check_token
from semtf.serving.server.grpc_messages import (
    model_spec,
    predict_request,
    predict_response,
    specify,
)
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import STATUS
from semtf.serving.server.models import Models
from semtf.serving.server.predicting import Predicting, SignatureDef
from semtf.serving.server.rest import Request

log = logging.getLogger("semtf.serving")
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
        name, number, label = model_spec(message.model_spec)

        async def read(signature_def: SignatureDef) -> Request:
            return predict_request(message, signature_def, self._predicting.limits)

        with self._predicting.counted():
            versions = self._models.served(name, number)
            predicted = await self._predicting.predict(versions, number, label, read)
        # In a thread, so that a large answer does not keep other requests waiting.
        return await asyncio.to_thread(predict_response, message, predicted)

    async def metadata(self, message: Any) -> Any:
        """A ``GetModelMetadataResponse`` with the signatures of a version."""
        name, number, label = model_spec(message.model_spec)
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
        specify(response.model_spec, name, version.number, "")
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata[SIGNATURE_DEF].CopyFrom(packed)
        return response

    async def status(self, message: Any) -> Any:
        """A ``GetModelStatusResponse`` with the states of a model's versions."""
        name, number, label = model_spec(message.model_spec)
        versions = self._models.described(name, number)
        if label is not None:
            number = versions.find(None, label).number
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state, code, text in versions.states(number):
            entry = response.model_version_status.add(version=version, state=state)
            entry.status.error_code = 0 if code == "OK" else 2
            entry.status.error_message = text
        return response


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
