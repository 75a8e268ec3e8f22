"""Serving: a run as one SavedModel, a server and a client with TensorFlow Serving's contract."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semtf.serving.client import Client, ServerError

__all__ = ["Client", "ServerError"]


def __getattr__(name: str) -> Any:
    """Import the client when it is first used: it needs packages that not everyone installs."""
    if name not in __all__:
        raise AttributeError(f"module 'semtf.serving' has no attribute {name!r}")
    from semtf.errors import InputError

    try:
        from semtf.serving import client
    except ModuleNotFoundError as error:
        raise InputError(
            f"semtf.serving.{name}: the package {error.name} is missing; pip install semtf[serve]"
        ) from error
    return getattr(client, name)
