"""Shards over Ray's actors: bounded tasks in flight, and a dead worker's shards given to others."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from semtf.batch.estimation import ShardDone, ShardTask
from semtf.errors import TrainingError
from semtf.progress import warn

IN_FLIGHT = 2
"""Shards that a worker has: one is estimated, and one waits, so that no worker does."""
MOST_DEATHS = 3
"""So often a shard may lose its worker; then it is taken for the cause."""
START = "the start of a worker"
PATIENCE = 60.0
"""Seconds without any news after which the wait is told."""


@dataclass(eq=False)
class _Worker:
    """An actor; ``calls`` are its unanswered ones, the first is the one that it works on."""

    actor: Any
    loaded: bool = False
    calls: deque[tuple[Any, ShardTask | None]] = field(default_factory=deque)


class Pool:
    """Workers that make shards.

    Args:
        ray: the module.
        start: makes an actor with the methods ``load()`` and ``make(task)``.
        count: how many actors.
    """

    def __init__(self, ray: Any, start: Callable[[], Any], count: int) -> None:
        self._ray = ray
        self._start = start
        self._count = count
        self._workers: list[_Worker] = []
        self._waiting: deque[ShardTask] = deque()
        self._deaths: Counter[str] = Counter()

    def made(self, tasks: Sequence[ShardTask]) -> Iterator[ShardDone]:
        """The shards as they are done, in any order.

        Raises:
            TrainingError: a shard, or the start, lost its worker too often.
            Exception: what a worker raised.
        """
        self._waiting = deque(tasks)
        left = len(tasks)
        try:
            for _ in range(min(self._count, left)):
                self._add()
            while left:
                for done in self._news():
                    left -= 1
                    yield done
        finally:
            for worker in self._workers:
                self._ray.kill(worker.actor)

    def _add(self) -> None:
        worker = _Worker(self._start())
        # The first call loads the estimator; shards are sent once it has come back.
        worker.calls.append((worker.actor.load.remote(), None))
        self._workers.append(worker)

    def _news(self) -> Iterator[ShardDone]:
        """The shards that the next answers bring; their workers are given others."""
        owners = {call: worker for worker in self._workers for call, _ in worker.calls}
        answered, _ = self._ray.wait(list(owners), timeout=PATIENCE)
        if not answered:
            warn(f"no news from {len(self._workers)} workers for {PATIENCE:.0f} s")
        for call in answered:
            worker = owners[call]
            try:
                done = self._ray.get(call)
            except self._ray.exceptions.RayActorError:
                self._replace(worker)
                return
            except self._ray.exceptions.RayTaskError as error:
                raise self._cause(error) from None
            worker.calls = deque(entry for entry in worker.calls if entry[0] != call)
            if not worker.loaded:
                worker.loaded = True
                self._deaths.pop(START, None)
            self._fill(worker)
            if done is not None:
                yield done

    def _cause(self, error: Any) -> BaseException:
        """What was raised in a worker, or in an actor that it asked, without their tracebacks."""
        while isinstance(error, self._ray.exceptions.RayTaskError):
            error = error.cause
        cause: BaseException = error
        return cause

    def _fill(self, worker: _Worker) -> None:
        while worker.loaded and self._waiting and len(worker.calls) < IN_FLIGHT:
            task = self._waiting.popleft()
            worker.calls.append((worker.actor.make.remote(task), task))

    def _replace(self, dead: _Worker) -> None:
        """Put the shards of a dead worker back, and start another one."""
        self._workers.remove(dead)
        tasks = [task for _, task in dead.calls if task is not None]
        first = tasks[0].name if tasks else START
        self._deaths[first] += 1
        warn(f"a worker died ({first}); another one takes over")
        if self._deaths[first] >= MOST_DEATHS:
            raise TrainingError(
                f"{first}: {MOST_DEATHS} workers died of it; look for what ended them (too little "
                "memory, a lost node), then the same command goes on"
            )
        self._waiting.extendleft(reversed(tasks))
        self._add()
        for worker in self._workers:
            self._fill(worker)
