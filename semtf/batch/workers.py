"""The workers of a batch as Ray's actors."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from semtf.batch.cluster import default_workers, import_ray
from semtf.batch.estimation import Estimating, ShardDone, ShardTask, make_shard
from semtf.batch.options import BatchOptions
from semtf.batch.pool import Pool

THREADS = 1
"""Of TensorFlow in a worker: a core a worker, so that the bytes do not depend on the machine."""

MEMORY_OF_FILES = 2
"""Memory that a part of a storage asks of its node, in sizes of its files."""

Load = Callable[[], Estimating]


class Worker:
    """An estimator in a process of its own.

    Args:
        load: gives the estimator.
        options: of the batch.
    """

    def __init__(self, load: Load, options: BatchOptions) -> None:
        self._load = load
        self._options = options

    def load(self) -> None:
        """Load the estimator; what is wrong with the run is raised here."""
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        self._estimator = self._load()

    def make(self, task: ShardTask) -> ShardDone:
        """Make one shard."""
        return make_shard(self._estimator, task, self._options)


def load_estimator(run: Path, parts: "RayParts | None") -> Estimating:
    """The estimator of a run, or of a storage in parts."""
    from semtf.estimation.estimator import load
    from semtf.estimation.sharded_estimator import ShardedEstimator

    return load(run) if parts is None else ShardedEstimator(run, parts)


class RayParts:
    """The parts of a storage, each held by an actor that all workers ask.

    A part that is lost is loaded anew by Ray, wherever there is room, and asked again.

    Args:
        ray: the module.
        folders: of the parts.
    """

    def __init__(self, ray: Any, folders: Sequence[Path]) -> None:
        from semtf.estimation.storage_shards import StoragePart

        part = ray.remote(StoragePart)
        self._actors = [
            part.options(
                num_cpus=0,  # a search takes the place of its worker, which waits
                memory=MEMORY_OF_FILES * _bytes(folder),
                scheduling_strategy="SPREAD",
                max_restarts=-1,
                max_task_retries=-1,
            ).remote(folder)
            for folder in folders
        ]

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        ray = import_ray()
        calls = [getattr(actor, method).remote(*arguments) for actor in self._actors]
        answers: list[Any] = ray.get(calls)
        return answers


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make_on_ray(
    ray: Any, run: Path, options: BatchOptions, count: int | None, tasks: Sequence[ShardTask]
) -> Iterable[ShardDone]:
    """Make shards with actors of a cluster, one a core or a GPU unless ``count`` says another."""
    from semtf.estimation.storage_shards import is_sharded, part_folders

    parts = None
    if is_sharded(run):
        parts = RayParts(ray, [folder.resolve() for folder in part_folders(run)])
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    actor = ray.remote(Worker).options(num_cpus=THREADS, num_gpus=gpus, max_restarts=0)
    start = partial(actor.remote, partial(load_estimator, run.resolve(), parts), options)
    return Pool(ray, start, count or default_workers(ray)).made(tasks)
