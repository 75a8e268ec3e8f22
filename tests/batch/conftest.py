"""A batch without a cluster: the same shards, made in this process."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from semtf.batch.estimation import ShardDone, ShardTask, make_shard
from semtf.batch.options import BatchOptions
from semtf.estimation.estimator import Estimator, load
from semtf.run import Run

Make = Callable[[Sequence[ShardTask]], Iterator[ShardDone]]


@pytest.fixture(scope="session")
def estimator(run: Run) -> Estimator:
    return load(run, index="exact")


@pytest.fixture(scope="session")
def making(estimator: Estimator) -> Callable[[BatchOptions], Make]:
    """Gives what makes the shards of a batch."""

    def of_options(options: BatchOptions) -> Make:
        return lambda tasks: (make_shard(estimator, task, options) for task in tasks)

    return of_options


@pytest.fixture
def test_images(fab: Path) -> Path:
    return fab / "test/SEM"
