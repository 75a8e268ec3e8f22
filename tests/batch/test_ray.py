"""A batch on a real Ray cluster of two nodes: what is killed changes no byte of the result."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from semtf.batch.job import run_batch
from semtf.batch.options import BatchOptions
from semtf.cli.main import run as semtf
from semtf.errors import InputError, TrainingError
from semtf.estimation.storage_shards import shard_run
from semtf.run import Run
from tests.full_disk import fill

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "semtf[ray]"')
pytestmark = pytest.mark.slow
OPTIONS = BatchOptions(shard_size=2)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def workers(title: str = "ray::Worker") -> list[psutil.Process]:
    """The processes of the actors that estimate, of this test's own cluster."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "".join(process.cmdline()[:1]).startswith(title):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two nodes, each with room for one worker."""
    from ray.cluster_utils import Cluster

    # A lost node is told within seconds.
    settings = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 1, "_system_config": settings}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def spoiled(fab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(fab / "test/SEM", tmp_path_factory.mktemp("ray") / "sem"))
    sorted(folder.iterdir())[7].write_bytes(b"\x89PNG poison")
    return folder


@pytest.fixture(scope="module")
def expected(run: Run, spoiled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of an undisturbed batch of one process."""
    from semtf.batch.estimation import make_shard
    from semtf.estimation.estimator import load

    estimator = load(run)
    out = tmp_path_factory.mktemp("expected") / "out"
    run_batch(
        run.path,
        str(spoiled),
        str(out),
        OPTIONS,
        lambda tasks: (make_shard(estimator, task, OPTIONS) for task in tasks),
    )
    return content(out)


def batch(run: Path, images: Path, out: Path, disturb: Callable[[int], None]) -> None:
    """A batch on the cluster; ``disturb`` is called with the number of shards that are done."""
    from semtf.batch.workers import make_on_ray

    def make(tasks):
        for count, done in enumerate(make_on_ray(ray, run, OPTIONS, 2, tasks)):
            disturb(count)
            yield done

    run_batch(run, str(images), str(out), OPTIONS, make)


def test_two_workers_give_the_bytes_of_predict(
    cluster, run: Run, spoiled: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    batch(run.path, spoiled, tmp_path / "out", lambda _: None)
    assert content(tmp_path / "out") == expected
    predict = ("predict", "--run", run.path, "--images", spoiled, "--out", tmp_path / "p")
    with pytest.raises(SystemExit):
        semtf([*map(str, predict), "--skip-bad"])
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("shard-*"))]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == len(list((tmp_path / "p").glob("*.png"))) == 23
    for row in rows:
        assert row["depth"] == (tmp_path / "p" / row["name"]).read_bytes()


def test_a_killed_worker(
    cluster, run: Run, spoiled: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    killed = []

    def kill(count: int) -> None:
        if count == 1:
            killed.append(workers()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    batch(run.path, spoiled, tmp_path / "out", kill)
    assert killed
    assert content(tmp_path / "out") == expected


def test_a_killed_node(
    cluster, run: Run, spoiled: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    lost = []

    def kill(count: int) -> None:
        # Each node has room for one worker, so the lost one had one.
        if count == 0:
            lost.extend(cluster.worker_nodes)
            cluster.remove_node(lost[0], allow_graceful=False)
            cluster.add_node(num_cpus=1)

    batch(run.path, spoiled, tmp_path / "out", kill)
    assert len(lost) == 1
    assert content(tmp_path / "out") == expected


def test_a_disk_that_fills_up(
    cluster,
    run: Run,
    spoiled: Path,
    expected: dict[str, bytes],
    tmpfs: Path,
) -> None:
    def full(count: int) -> None:
        if count == 0:
            fill(tmpfs / "filler")

    with pytest.raises(TrainingError, match=r"^[^\n]+the same command goes on[^\n]*$"):
        batch(run.path, spoiled, tmpfs / "out", full)
    (tmpfs / "filler").unlink()
    batch(run.path, spoiled, tmpfs / "out", lambda _: None)
    assert content(tmpfs / "out") == expected


def test_a_storage_in_parts(cluster, run: Run, spoiled: Path, tmp_path: Path) -> None:
    shard_run(run, 2, tmp_path / "parts")
    batch(tmp_path / "parts", spoiled, tmp_path / "out", lambda _: None)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("shard-*"))]
    assert sum(map(len, tables)) == 23


def test_a_run_that_is_broken_is_one_line(cluster, run: Run, spoiled: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(run.path, tmp_path / "run"))
    next(broken.glob("storage/*/keys.npy")).unlink()
    with pytest.raises(InputError, match=r"^\S+keys\.npy: is missing, [^\n]+$"):
        batch(broken, spoiled, tmp_path / "out", lambda _: None)
