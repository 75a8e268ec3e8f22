"""The models of a server, each with its versions."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from semtf.errors import InputError
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.model_config import ModelConfig
from semtf.serving.server.versions import Versions
from semtf.serving.server.worker_handle import StartWorker
from semtf.serving.server.worker_process import WorkerProcess

log = logging.getLogger("semtf.serving")
Configs = Mapping[str, ModelConfig]


class Models:
    """Serves models, and follows a change of which ones.

    Args:
        configs: the models by name.
        metrics: what is counted.
        poll: seconds between looks for changed configs.
        changed: gives the configs anew where they changed, else None; it may raise InputError, and
            then all goes on as before.
        start_worker: starts the process of a version.
    """

    def __init__(
        self,
        configs: Configs,
        metrics: Metrics,
        poll: float = 1.0,
        changed: Callable[[], Configs | None] = lambda: None,
        start_worker: StartWorker = WorkerProcess.start,
    ) -> None:
        self._metrics = metrics
        self._poll = poll
        self._changed = changed
        self._start_worker = start_worker
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.by_name: dict[str, Versions] = {}
        for config in configs.values():
            self._add(config)

    def versions(self, name: str) -> Versions | None:
        """The versions of a model; None where there is no such model."""
        return self.by_name.get(name)

    def served(self, name: str, number: int | None) -> Versions:
        """The versions of a model; raises RequestError as TensorFlow Serving does."""
        if (versions := self.versions(name)) is not None:
            return versions
        servable = f"Latest({name})" if number is None else f"Specific({name}, {number})"
        raise RequestError(404, f"Servable not found for request: {servable}")

    def described(self, name: str, number: int | None) -> Versions:
        """The versions of a model whose state is asked; raises RequestError."""
        if (versions := self.versions(name)) is not None:
            return versions
        missing = "any versions" if number is None else f"version {number}"
        raise RequestError(404, f"Could not find {missing} of model {name}")

    async def watch(self) -> None:
        """Follow the folders of all models, and the configs, until cancelled."""
        for name, versions in self.by_name.items():
            self._watchers[name] = asyncio.create_task(versions.watch())
        while True:
            await asyncio.sleep(self._poll)
            try:
                configs = self._changed()
            except InputError as error:
                log.error("%s; the models stay as they are", error)
                continue
            if configs is not None:
                await self.apply(configs)

    async def apply(self, configs: Configs) -> None:
        """Serve these models: new ones are loaded, others ended, labels and policies changed."""
        for name, versions in list(self.by_name.items()):
            config = configs.get(name)
            if config is None or config.folder != versions.folder:
                log.info("%s: is not served any more", name)
                del self.by_name[name]
                await self._end(name, versions)
            else:
                versions.options = config.options
        for name, config in configs.items():
            if name not in self.by_name:
                self._watchers[name] = asyncio.create_task(self._add(config).watch())

    async def close(self) -> None:
        """End all processes."""
        await asyncio.gather(*(self._end(name, v) for name, v in self.by_name.items()))

    def _add(self, config: ModelConfig) -> Versions:
        versions = self.by_name[config.name] = Versions(
            config.folder, config.name, config.options, self._metrics, self._start_worker
        )
        return versions

    async def _end(self, name: str, versions: Versions) -> None:
        watcher = self._watchers.pop(name, None)
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        await versions.close()
