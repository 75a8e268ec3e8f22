"""The versions of a model: found in a folder, loaded in workers, swapped, drained, unloaded."""

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine
from pathlib import Path

from semtf.serving.server.batching import Batcher
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.version import AVAILABLE, END, LOADING, UNLOADING, Options, Version
from semtf.serving.server.version_folders import Stamp, stamp_of, version_folders
from semtf.serving.server.worker_handle import StartWorker, WorkerEndedError, WorkerHandle
from semtf.serving.server.worker_process import WorkerProcess

log = logging.getLogger("semtf.serving")
RESTART_SECONDS = 1.0
STILL_SECONDS = 5.0
"""A folder whose newest file is older has not just been written; a younger one may still be."""
RETRY_SECONDS, RETRIES = 60.0, 5
"""How often a version that does not load is tried again unchanged, as TensorFlow Serving does."""


class Versions:
    """Serves the newest version of a folder, and those that have a label.

    A version is loaded in a process of its own and becomes the newest when that is warm; the one
    before answers the requests it has, and ends. A version that does not load leaves the old
    one serving. Where none is served, a version is as soon as its default signature is warm.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        options: Options,
        metrics: Metrics,
        start_worker: StartWorker = WorkerProcess.start,
    ) -> None:
        self.folder = folder
        self.name = name
        self.options = options
        self.metrics = metrics
        self._start_worker = start_worker
        self.known: dict[int, Version] = {}
        self._stamps: dict[int, Stamp] = {}
        self._missing: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Follow the folder until cancelled."""
        while True:
            try:
                await self.update()
            except Exception:  # the watcher must survive whatever a folder holds
                log.exception("%s: looking for versions failed", self.folder)
            await asyncio.sleep(self.options.poll)

    async def update(self) -> None:
        """Load versions that are new and wanted, unload those that are not wanted any more.

        A folder that is still being copied is left for a later look.
        """
        found = version_folders(self.folder)
        self._warn_of_missing(found)
        folders = self._still(found)
        wanted = {number for number in self.options.labels.values() if number in folders}
        specific, good = self.options.specific, 0
        chosen = [number for number in folders if specific is None or number in specific]
        for number in sorted(chosen, reverse=True):
            version = self._current(number, folders[number])
            if version is None:
                version = await self._loaded(number, folders[number])
            if version.state in (LOADING, AVAILABLE):
                wanted.add(number)
                good += 1
            if good == self.options.latest:
                break
        for number in sorted(wanted):
            if self._current(number, folders[number]) is None:
                await self._loaded(number, folders[number])
        if any(self._serves(number) for number in wanted):
            for version in list(self.known.values()):
                if version.number not in wanted and version.state == AVAILABLE:
                    self._spawn(self._retire(version))

    def _warn_of_missing(self, folders: Collection[int]) -> None:
        """Say once which versions are named and not there."""
        named = {(f"label {label} means", n) for label, n in self.options.labels.items()}
        named |= {("its config names", number) for number in self.options.specific or ()}
        missing = {(by, number) for by, number in named if number not in folders}
        for by, number in sorted(missing - self._missing):
            log.warning("%s: %s version %d, which is not there", self.name, by, number)
        self._missing = missing

    def latest(self) -> Version:
        """The newest version that is served; raises RequestError where there is none."""
        available = self.available()
        if not available:
            for version in self.known.values():
                if version.state == LOADING and version.message:
                    raise RequestError(503, f"version {version.number}: {version.message}")
            raise RequestError(404, f"Servable not found for request: Latest({self.name})")
        return self.known[max(available)]

    def available(self) -> list[int]:
        """The versions that are served."""
        return [number for number in self.known if self._serves(number)]

    def find(self, number: int | None, label: str | None) -> Version:
        """The version that a request names; raises RequestError where it is not served."""
        if label is not None:
            if label not in self.options.labels:
                raise RequestError(400, f"Unrecognized servable version label: {label}")
            number = self.options.labels[label]
        if number is None:
            return self.latest()
        if not self._serves(number):
            version = self.known.get(number)
            if version is not None and version.state == LOADING:
                reason = version.message or "it is being loaded"
                raise RequestError(503, f"version {number}: {reason}")
            raise RequestError(
                404, f"Servable not found for request: Specific({self.name}, {number})"
            )
        return self.known[number]

    def states(self, number: int | None = None) -> list[tuple[int, str, str, str]]:
        """Version, state, error code and message, newest first; for one version or all.

        Raises:
            RequestError: there is none.
        """
        chosen = [v for v in self.known.values() if number in (None, v.number)]
        if not chosen:
            missing = "any versions" if number is None else f"version {number}"
            raise RequestError(404, f"Could not find {missing} of model {self.name}")
        chosen.sort(key=lambda version: -version.number)
        return [(v.number, v.state, "UNKNOWN" if v.message else "OK", v.message) for v in chosen]

    async def close(self) -> None:
        """End all processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = [v.worker for v in self.known.values() if v.worker is not None]
        await asyncio.gather(*(worker.close() for worker in workers))

    def _serves(self, number: int) -> bool:
        return number in self.known and self.known[number].state == AVAILABLE

    def _current(self, number: int, folder: Path) -> Version | None:
        """The known version; None where it is to be loaded anew.

        That is so where it was unloaded, and where it failed to load and has changed since, or may
        be tried again as it is.
        """
        version = self.known.get(number)
        if version is None or version.state != END:
            return version
        if not version.message or version.stamp != stamp_of(folder):
            return None
        waited = asyncio.get_running_loop().time() - version.failed_at
        again = version.attempts <= RETRIES and waited >= RETRY_SECONDS
        return None if again else version

    def _still(self, folders: dict[int, Path]) -> dict[int, Path]:
        """The folders that nobody is writing to.

        Those are old ones, and those that are as they were at the last look. A folder that is
        served counts as it is.
        """
        before, self._stamps = self._stamps, {n: stamp_of(folder) for n, folder in folders.items()}
        latest = time.time() - STILL_SECONDS
        return {
            number: folder
            for number, folder in folders.items()
            if self._serves(number)
            or before.get(number) == self._stamps[number]
            or all(changed <= latest * 1e9 for _, _, changed in self._stamps[number])
        }

    async def _loaded(self, number: int, folder: Path) -> Version:
        """A version of a folder, with what is remembered of earlier attempts."""
        before = self.known.get(number)
        version = self.known[number] = Version(number, folder)
        if before is not None and before.message and before.stamp == version.stamp:
            version.attempts = before.attempts
        version.attempts += 1
        await self._load(version)
        return version

    async def _load(self, version: Version) -> None:
        log.info("%s: loading version %d", self.name, version.number)
        try:
            hurry = not self.available()
            worker = await self._start_worker(version.folder, self.options.threads, hurry)
        except (WorkerEndedError, OSError) as error:
            version.state, version.message = END, str(error)
            version.failed_at = asyncio.get_running_loop().time()
            log.error("%s: version %d does not load: %s", self.name, version.number, error)
            return
        version.worker = worker
        version.batcher = Batcher(
            worker,
            max_images=self.options.batch,
            window=self.options.window,
            threads=self.options.threads,
            observe=self.metrics.batch,
        )
        version.state, version.message = AVAILABLE, ""
        log.info("%s: version %d is served", self.name, version.number)
        self.metrics.loads.inc()
        self._spawn(self._guard(version, worker))

    async def _guard(self, version: Version, worker: WorkerHandle) -> None:
        """Load a version again whose process ended by itself."""
        await worker.wait()
        if version.state != AVAILABLE or version.worker is not worker:
            return
        log.error("%s: the process of version %d ended", self.name, version.number)
        version.worker = version.batcher = None
        version.state, version.message = LOADING, "its process ended; it is being loaded again"
        await worker.close()
        await asyncio.sleep(RESTART_SECONDS)
        await self._load(version)

    async def _retire(self, version: Version) -> None:
        version.state = UNLOADING
        await version.idle.wait()
        if version.worker is not None:
            await version.worker.close()
        version.worker = version.batcher = None
        version.state = END
        log.info("%s: version %d is unloaded", self.name, version.number)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
