"""Workers that die, and workers that raise: real actors of Ray that do no more than that."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from semtf.batch.estimation import ShardDone, ShardTask
from semtf.batch.location import Location
from semtf.batch.pool import Pool
from semtf.batch.shard_file import ShardSummary
from semtf.errors import InputError, TrainingError

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "semtf[ray]"')
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def pool(count: int, folder: Path, fault: Callable[[str, Path], None]) -> Pool:
    """Workers that call ``fault`` with ``load`` or the name of a shard, before they make it."""

    class Actor:  # a local class is sent to the workers whole
        def load(self) -> None:
            fault("load", folder)

        def make(self, task: ShardTask) -> ShardDone:
            fault(task.name, folder)
            return ShardDone(task.name, ShardSummary(0), os.getpid())

    return Pool(ray, ray.remote(Actor).options(num_cpus=1, max_restarts=0).remote, count)


def tasks(folder: Path) -> list[ShardTask]:
    return [ShardTask(Location.of(folder / f"s{i}"), [], None, {}) for i in range(9)]


def test_shards_of_a_dead_worker_are_made_by_others(tmp_path: Path) -> None:
    def fault(name: str, folder: Path) -> None:
        # Two shards kill their worker once, and one the first worker that starts.
        if name in ("load", "s3", "s7"):
            try:
                (folder / name).touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), 9)

    done = list(pool(2, tmp_path, fault).made(tasks(tmp_path)))
    assert sorted(shard.name for shard in done) == [f"s{i}" for i in range(9)]
    assert len({shard.peak_bytes for shard in done}) > 2


def test_a_shard_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    def fault(name: str, _: Path) -> None:
        if name == "s4":
            os.kill(os.getpid(), 9)

    with pytest.raises(TrainingError, match=r"^s4: 3 workers died of it"):
        list(pool(2, tmp_path, fault).made(tasks(tmp_path)))


def test_workers_that_never_start(tmp_path: Path) -> None:
    def fault(name: str, _: Path) -> None:
        os.kill(os.getpid(), 9)

    with pytest.raises(TrainingError, match=r"^the start of a worker: 3 workers died of it"):
        list(pool(1, tmp_path, fault).made(tasks(tmp_path)))


@pytest.mark.parametrize("where", ["load", "s2"])
def test_what_a_worker_raises_is_raised_as_it_was(tmp_path: Path, where: str) -> None:
    def fault(name: str, _: Path) -> None:
        if name == where:
            raise InputError("keys.npy: is missing")

    with pytest.raises(InputError) as error:
        list(pool(2, tmp_path, fault).made(tasks(tmp_path)))
    assert str(error.value) == "keys.npy: is missing"
    assert type(error.value) is InputError
