"""What more workers, pairs and images cost: training, batches of images, and storages.

    scripts/bench scale [--parts train,batch,storage,names] [--workers 1 2 4] [--steps 40]
                        [--batch 16] [--pairs 10000 100000 1000000] [--count 1000] [--work DIR]

- train: steps/s of a CycleGAN of the preset `quick` by as many processes on this machine, which
  divide its cores and one batch, of ``--batch`` images a step of the generators. The share of the
  all-reduces is that of as many sums of gradients of these shapes, timed alone in the same
  processes.
- batch: `scripts/bench batch`.
- storage: bytes a pair, seconds to build a storage's index and to load it, and time of a query, by
  its size. More than 100,000 pairs are in parts, as `semtf shard` makes them, one of which is in
  memory at a time; the times of all parts are added. A part's pairs beyond 25,000 are mirrored.
- names: seconds and memory in which `semtf predict-batch` lists a million images of a Parquet file,
  before any worker starts.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import bench_batch
import numpy as np
from commands import free_ports, spawn, worker_config
from isolated import run_isolated

from semtf.cluster import configured_cluster

PARTS = ("train", "batch", "storage", "names")
WARM_UP = 5
RENDERED = 25_000
PART = 100_000
NAMES = 1_000_000
QUERIES = 512


def train(workers: int, steps: int, batch: int) -> dict[str, float]:
    """What the chief of so many processes measured."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        joined = {"TF_CONFIG": worker_config(addresses, index)} if workers > 1 else {}
        output = None if index else subprocess.PIPE
        command = [__file__, "--steps", str(steps), "--batch", str(batch), "--worker"]
        processes.append(spawn(command, env=os.environ | joined, stdout=output, text=True))
    out, _ = processes[0].communicate()
    for process in processes:
        if process.wait():
            raise SystemExit(f"{workers} workers: one ended with code {process.returncode}")
    measured: dict[str, float] = json.loads(out.splitlines()[-1])
    return measured


def divide_cores() -> None:
    """Keep this worker of TF_CONFIG to its part of the cores, before TensorFlow counts them."""
    cluster, cores = configured_cluster(), sorted(os.sched_getaffinity(0))
    if cluster is not None:
        index = cluster.this_member.index
        own = cores[index :: len(cluster.members)]
        os.sched_setaffinity(0, own or [cores[index % len(cores)]])


def work(steps: int, batch: int) -> None:
    """Train with the other workers of TF_CONFIG; the chief prints what it measured, as JSON."""
    divide_cores()
    import keras
    import tensorflow as tf

    from semtf import orders, training_loop
    from semtf.adaptation.cyclegan import CycleGAN
    from semtf.distribution import choose_strategy
    from semtf.presets import preset

    run = preset("quick").with_settings({"adaptation.batch": batch})
    strategy = choose_strategy("auto")
    with strategy.scope():
        network = CycleGAN(run.image, run.adaptation, 0)
        network.compile()
    shape = (run.adaptation.batch * run.adaptation.critic_steps, *run.image.shape, 1)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)

    def data(start: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(tuple(map(tf.constant, images))).repeat()

    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: times.append(time.perf_counter())
    )
    state = network.state()
    if orders.is_chief(strategy):
        training_loop.fit(
            network, data, state=state, done=0, epochs=1, steps=WARM_UP + steps, callbacks=[clock]
        )
    else:
        training_loop.follow(network, data, state=state)
    reduced = 0.0
    if strategy.num_replicas_in_sync > 1:
        parts = [part.trainable_variables for part in network.networks]
        rounds = [
            run.adaptation.critic_steps if "critic" in p.name else 1 for p in network.networks
        ]
        reduced = sum(n * _all_reduce(strategy, p) for n, p in zip(rounds, parts, strict=True))
    if orders.is_chief(strategy):
        seconds = statistics.median(np.diff(times[WARM_UP - 1 :]))
        print(json.dumps({"step": float(seconds), "reduce": reduced}), flush=True)


def _all_reduce(strategy: Any, variables: list[Any]) -> float:
    """Median seconds of a sum over all replicas of gradients of some variables."""
    import tensorflow as tf

    @tf.function
    def reduced() -> Any:
        def on_replica() -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            zeros = [tf.zeros(variable.shape) for variable in variables]
            sums: list[tf.Tensor] = context.all_reduce(tf.distribute.ReduceOp.SUM, zeros)
            return sums

        return strategy.run(on_replica)

    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        reduced()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[5:])


def report_train(workers: list[int], steps: int, batch: int) -> None:
    print(
        "| workers | steps/s | of one | ms a step | of them in all-reduces |\n|---|---|---|---|---|"
    )
    one = 0.0
    for count in workers:
        measured = train(count, steps, batch)
        speed = 1 / measured["step"]
        one = one or speed
        print(
            f"| {count} | {speed:.2f} | {speed / one:.0%} | {1e3 * measured['step']:.0f} | "
            f"{measured['reduce'] / measured['step']:.1%} |",
            flush=True,
        )


def report_storage(counts: list[int], work: Path | None) -> None:
    print("| pairs | parts | bytes a pair | build (s) | load (s) | ms a query | GiB resident |")
    print("|---|---|---|---|---|---|---|")
    for count in counts:
        sizes = [PART] * (count // PART) + [count % PART] * (count % PART > 0)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            parts = [Path(folder) / f"part-{i}" for i in range(len(sizes))]
            built = [
                run_isolated(build_storage, part, size, seed)
                for seed, (part, size) in enumerate(zip(parts, sizes, strict=True))
            ]
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            searched = [run_isolated(search_storage, part) for part in parts]
        loaded, query, resident = zip(*searched, strict=True)
        print(
            f"| {count:,} | {len(parts)} | {size / count:,.0f} | {sum(built):.0f} | "
            f"{sum(loaded):.1f} | {sum(query):.2f} | {max(resident):.2f} |",
            flush=True,
        )


def build_storage(folder: Path, count: int, seed: int) -> float:
    """Write so many pairs with their index to a folder; seconds of the index's build."""
    from challenge_size import CASE, world

    from semtf.config import RetrievalConfig
    from semtf.retrieval.retriever import Retriever
    from semtf.retrieval.retriever_files import save_retriever
    from semtf.retrieval.storage import Storage

    made = world(min(count, RENDERED), 1, None, seed)
    keys, values = (
        np.concatenate([a, a[:, :, ::-1], a[:, ::-1], a[:, ::-1, ::-1]])[:count]
        for a in (made.keys, made.values)
    )
    names = np.array([f"pair_{i:07d}" for i in range(count)])
    storage = Storage.create(folder, case=CASE.case, keys=keys, values=values, names=names)
    del keys, values, made
    start = time.perf_counter()
    retriever = Retriever.build(storage, RetrievalConfig(), seed=0)
    save_retriever(retriever, folder)
    return time.perf_counter() - start


def search_storage(folder: Path) -> tuple[float, float, float]:
    """Seconds to load a storage, milliseconds of a query, GiB of the process."""
    from bench_retrieval import graph, resident, throughput
    from challenge_size import world

    from semtf.retrieval.retriever_files import load_retriever
    from semtf.retrieval.storage import Storage

    images = world(1, QUERIES, None).images[:QUERIES].astype(np.float32)
    start = time.perf_counter()
    retriever = load_retriever(folder, Storage.open(folder))
    loaded = time.perf_counter() - start
    speed = throughput(graph(partial(retriever.search, k=8)), images)
    return loaded, 1e3 / speed, resident()


def report_names(work: Path | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(dir=work) as folder:
        path = Path(folder) / "images.parquet"
        names = [f"lot_{i // 1000:06d}/image_{i:09d}.png" for i in range(NAMES)]
        images = pa.array([b"image"] * NAMES, pa.binary())
        pq.write_table(pa.table({"name": names, "image": images}), path)
        seconds, memory = run_isolated(list_names, path)
    print(
        f"| images | list (s) | GiB |\n|---|---|---|\n| {NAMES:,} | {seconds:.1f} | {memory:.2f} |"
    )


def list_names(path: Path) -> tuple[float, float]:
    """Seconds and GiB of listing a file's images, as the driver of a batch does."""
    from bench_retrieval import resident

    from semtf.batch.inputs import list_images

    before, start = resident(), time.perf_counter()
    listing = list_images(str(path))
    seconds = time.perf_counter() - start
    memory = resident() - before
    if len(listing) != NAMES:
        raise SystemExit(f"{path}: {len(listing)} of {NAMES} images are listed")
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 4], help="processes that train together"
    )
    parser.add_argument("--steps", type=int, default=40, help="timed steps, %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="images of a step, %(default)s")
    parser.add_argument(
        "--pairs",
        type=int,
        nargs="+",
        default=[10_000, 100_000, 1_000_000],
        help="sizes of storages",
    )
    parser.add_argument(
        "--count", type=int, default=1000, help="images of the part batch, %(default)s"
    )
    parser.add_argument("--work", type=Path, help="folder for storages, 15 GB for a million pairs")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.steps, arguments.batch)
        return
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if "train" in parts:
        report_train(arguments.workers, arguments.steps, arguments.batch)
    if "batch" in parts:
        bench_batch.main(["--count", str(arguments.count)])
    if "storage" in parts:
        report_storage(arguments.pairs, arguments.work)
    if "names" in parts:
        report_names(arguments.work)


if __name__ == "__main__":
    main()
