"""One version of a model: its folder, its state, and the worker that holds it."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semtf.serving.frames import Tensors
from semtf.serving.server.batching import Batcher
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.version_folders import stamp_of
from semtf.serving.server.worker_handle import WorkerEndedError, WorkerHandle

LOADING, AVAILABLE, UNLOADING, END = "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass(frozen=True)
class Options:
    """How versions are served.

    Attributes:
        batch: most images of one call of the model.
        window: seconds that a request may wait for others to join its batch.
        threads: calls of the model at the same time.
        poll: seconds between looks at the folder.
        labels: by label, the version it means; labelled versions stay loaded.
        latest: how many of the newest versions are served; all where None.
        specific: the only versions that are served, beside those with a label; any where None.
    """

    batch: int = 64
    window: float = 0.002
    threads: int = 2
    poll: float = 1.0
    labels: Mapping[str, int] = field(default_factory=dict)
    latest: int | None = 1
    specific: Collection[int] | None = None


class Version:
    """One version folder and the worker that holds it.

    Attributes:
        stamp: names, sizes and times of its files, by which a change of the folder is recognised.
        attempts: how often the folder was tried as it is now.
        state: LOADING, AVAILABLE, UNLOADING or END, as TensorFlow Serving names them.
        message: why it is not served; empty where nothing is wrong.
        active: requests under way.
        idle: set while there are none.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.folder = folder
        self.stamp = stamp_of(folder)
        self.attempts = 0
        self.failed_at = 0.0
        self.state = LOADING
        self.message = ""
        self.worker: WorkerHandle | None = None
        self.batcher: Batcher | None = None
        self.active = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def signature_def(self) -> dict[str, Any]:
        """The signatures; raises RequestError while it is being loaded again."""
        if self.worker is None:
            raise RequestError(503, f"version {self.number} is being loaded again")
        return self.worker.signature_def

    async def predict(self, signature: str, tensors: Tensors) -> Tensors:
        """The outputs for a request; the version stays loaded until it is answered."""
        if self.batcher is None:
            raise RequestError(503, f"version {self.number} is being loaded again")
        self.active += 1
        self.idle.clear()
        try:
            return await self.batcher.predict(signature, tensors)
        except WorkerEndedError as error:
            raise RequestError(503, f"version {self.number}: {error}; try again") from error
        finally:
            self.active -= 1
            if not self.active:
                self.idle.set()
