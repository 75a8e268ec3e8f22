"""Serving: a run as one SavedModel, a server and a client with TensorFlow Serving's contract."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semtf.serving.client.grpc import GrpcClient
    from semtf.serving.client.rest import Client, ServerError

__all__ = ["Client", "GrpcClient", "ServerError"]

_WHERE = {"Client": "client.rest", "GrpcClient": "client.grpc", "ServerError": "client.base"}


def __getattr__(name: str) -> Any:
    """Import the client when it is first used: it needs packages that not everyone installs."""
    if name not in __all__:
        raise AttributeError(f"module 'semtf.serving' has no attribute {name!r}")
    from semtf.errors import InputError

    try:
        module = importlib.import_module(f"semtf.serving.{_WHERE[name]}")
    except ModuleNotFoundError as error:
        extra = "grpc" if name == "GrpcClient" else "serve"
        raise InputError(
            f"semtf.serving.{name}: the package {error.name} is missing; pip install semtf[{extra}]"
        ) from error
    return getattr(module, name)
