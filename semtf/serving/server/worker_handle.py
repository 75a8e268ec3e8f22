"""What the server needs of a worker, whatever the worker is."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from semtf.serving.frames import Tensors


class WorkerEndedError(Exception):
    """The worker ended before it answered, or could not load its model."""


class WorkerHandle(ABC):
    """The server's end of a worker, which holds one version of a model.

    Attributes:
        signature_def: the model's signatures, as its metadata shows them.
        pid: of its process; None where it has none.
        warm: whether the first call of every signature is over.
    """

    signature_def: dict[str, Any]
    pid: int | None = None
    warm: bool = True

    @abstractmethod
    async def predict(self, signature: str, tensors: Mapping[str, npt.NDArray[Any]]) -> Tensors:
        """The outputs of a signature; several calls may be under way.

        Raises:
            RequestError: the model refuses the inputs.
            WorkerEndedError: the worker ended.
        """

    @abstractmethod
    async def wait(self) -> None:
        """Wait until the worker has ended."""

    @abstractmethod
    async def close(self) -> None:
        """End the worker."""


StartWorker = Callable[[Path, int, bool], Awaitable[WorkerHandle]]
"""Starts a worker on a version folder with a number of threads, and returns when it is warm.

In a hurry it returns when the default signature is warm, and warms the others up behind.

It raises WorkerEndedError, which says why, where the model does not load.
"""
