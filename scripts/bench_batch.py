"""Images a second of `semtf predict-batch` with one worker and with two, beside `semtf predict`.

    scripts/bench batch [--run RUN --images DIR] [--count 1000]

Needs ``semtf[ray]`` and two cores. Each worker has a node of a local cluster that is pinned to one
core; `semtf predict` is pinned to the same cores. Twice ``--count`` images are taken: of a batch
the second half of the shards is timed, of `semtf predict` a second pass, when graphs are traced.
Without a run a small one is trained on a simulated fab: the speed of a search depends on how many
pairs a storage has. Bytes are compared, too.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from isolated import run_isolated

if TYPE_CHECKING:
    from semtf.batch.estimation import ShardDone, ShardTask

SHARD = 128


def many_images(folder: Path, images: Path, count: int) -> Path:
    """A folder of ``count`` links to images, in turn."""
    folder.mkdir()
    found = sorted(images.iterdir())
    for i in range(count):
        (folder / f"{i:06d}.png").symlink_to(found[i % len(found)].resolve())
    return folder


def small_run(folder: Path) -> tuple[Path, Path]:
    """A run with EfficientNet-B0, trained for a moment, and test images."""
    from semtf.pipeline import train
    from semtf.presets import preset
    from semtf.simulation.world import simulate

    data = simulate(folder / "data", pairs=1000, train=60, test=250)
    config = preset("quick").with_settings(
        {"adaptation.adapter": "none", "classification.epochs": "1"}
    )
    return train(data, run=folder / "run", config=config).path, data / "test/SEM"


def predict_speed(run: Path, images: Path, out: Path, count: int, cores: list[int]) -> float:
    """Images a second of `semtf predict`, its graphs traced and its estimator loaded."""
    os.sched_setaffinity(0, cores)
    from semtf.cli.predict import Local, predict_files

    estimator = Local(run, {})
    options = (None, None, None, False, False)
    predict_files(estimator, images, out / "first", *options)
    start = time.perf_counter()
    predict_files(estimator, images, out / "second", *options)
    return 2 * count / (time.perf_counter() - start)


def batch_speed(
    run: Path, images: Path, out: Path, count: int, cores: list[int], measures: bool
) -> tuple[float, int]:
    """Images a second of as many workers as cores, and the most memory of one, in bytes."""
    import ray
    from ray.cluster_utils import Cluster

    from semtf.batch.job import run_batch
    from semtf.batch.options import BatchOptions
    from semtf.batch.workers import make_on_ray

    cluster = Cluster()
    for core in cores:
        os.sched_setaffinity(0, [core])
        cluster.add_node(num_cpus=1)
    os.sched_setaffinity(0, cores)
    ray.init(address=cluster.address, log_to_driver=False)
    options = BatchOptions(shard_size=SHARD, measures=measures)
    arrivals: list[tuple[float, int]] = []

    def make(tasks: Sequence["ShardTask"]) -> Iterator["ShardDone"]:
        for done in make_on_ray(ray, run, options, len(cores), tasks):
            arrivals.append((time.perf_counter(), done.summary.images))
            yield done

    result = run_batch(run, str(images), str(out), options, make)
    ray.shutdown()
    cluster.shutdown()
    middle = len(arrivals) // 2
    timed = sum(images for _, images in arrivals[middle:])
    return timed / (arrivals[-1][0] - arrivals[middle - 1][0]), result.peak_bytes


def compare_bytes(shards: Path, predictions: Path) -> int:
    """How many depth maps of a batch have other bytes than those of `semtf predict`."""
    import pyarrow.parquet as pq

    different = 0
    for path in shards.glob("shard-*.parquet"):
        table = pq.read_table(path, columns=["name", "depth"])
        for row in table.to_pylist():
            different += row["depth"] != (predictions / row["name"]).read_bytes()
    return different


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, images = chosen.run, chosen.images
        if run is None or images is None:
            run, images = run_isolated(small_run, folder)
        images = many_images(folder / "images", images, 2 * chosen.count)
        different = {}
        print("| cores | | images/s | memory of a worker, MB |\n|---|---|---|---|")
        for used in [cores[:1]] if len(cores) == 1 else [cores[:1], cores]:
            own = folder / f"predict-{len(used)}"
            speed = run_isolated(predict_speed, run, images, own, chosen.count, used)
            print(f"| {len(used)} | `semtf predict` | {speed:.0f} | |", flush=True)
            for measures in (False, True):
                name = "with measures" if measures else "`--no-measures`"
                out = folder / f"batch-{len(used)}-{measures}"
                speed, peak = run_isolated(
                    batch_speed, run, images, out, chosen.count, used, measures
                )
                print(
                    f"| {len(used)} | {len(used)} workers, {name} | {speed:.0f} | "
                    f"{peak / 1e6:.0f} |",
                    flush=True,
                )
            different[len(used)] = compare_bytes(
                folder / f"batch-{len(used)}-False", own / "second"
            )
        for cores_used, number in different.items():
            print(f"{cores_used} cores: {number} of {2 * chosen.count} depth maps have other bytes")


if __name__ == "__main__":
    main()
