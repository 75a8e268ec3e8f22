"""Retrieval at the challenge's size: build, recall, speed, growth, memory and accuracy.

    scripts/bench retrieval [--parts search accuracy …] [--pairs 21663] [--queries 2600] [--run RUN]

Case 1 of a synthetic `struct` fab, keys as the fab's microscope shows them. The reference is the
exact search: all pixels, all shifts, `tf.matmul` in float32, in the same run. With ``--run`` the
keys are the pairs' simulator images as that run adapts them. The part `predict` needs ``--run`` for
its classifier: four cases of that size, from PNG files to PNG files, classification included; their
storages hold case 1's pairs in four orders, so none shares an index with another.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from challenge_size import IMAGES, World, fab_images, full_size_run, stored_pairs, world
from isolated import run_isolated
from PIL import Image

from semtf.cli.predict import predict_files
from semtf.config import SHAPE, RetrievalConfig, RunConfig
from semtf.estimation.calibration import Checked, summary
from semtf.estimation.estimator import load
from semtf.estimation.intervals import NORMAL
from semtf.estimation.preparation import fitted
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.held_out import find_noise
from semtf.retrieval.pixels import flat_pixels
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.shifts import adjoint_shifts
from semtf.retrieval.tuning import tune

REFERENCE, BATCH = 256, 512
PARTS = ("search", "centre", "accuracy", "coverage", "growth", "predict")


def best_of_all(retriever: Retriever, images: np.ndarray) -> tuple[np.ndarray, float]:
    """The most similar pair of each image by exact search, and images a second."""
    moves = tf.transpose(adjoint_shifts(normalise(tf.constant(images)), 2), [1, 0, 2, 3])
    moves = tf.reshape(moves, [moves.shape[0], len(images), -1])
    keys = tf.constant(flat_pixels(retriever.storage.keys), tf.float32)
    norms = retriever.pixels.norms.numpy()
    best = np.full((len(keys), len(images)), -np.inf, np.float32)
    start = time.perf_counter()
    for s, move in enumerate(moves):
        products = tf.matmul(keys, move, transpose_b=True).numpy()
        np.maximum(best, products / norms[:, s : s + 1], out=best)
    pair = best.argmax(axis=0)
    return pair, len(images) / (time.perf_counter() - start)


def throughput(function: Callable[[tf.Tensor], Any], images: np.ndarray) -> float:
    """Images a second in batches, the graph warm."""
    function(images[:BATCH])
    start = time.perf_counter()
    for first in range(0, len(images), BATCH):
        function(images[first : first + BATCH])
    return len(images) / (time.perf_counter() - start)


def latency(function: Callable[[tf.Tensor], Any], images: np.ndarray) -> float:
    """Median milliseconds of one warm image."""
    times = []
    for i in range(30):
        start = time.perf_counter()
        function(images[i : i + 1])
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def graph(function: Callable[[tf.Tensor], Any]) -> Callable[[tf.Tensor], Any]:
    spec = tf.TensorSpec([None, *SHAPE], tf.float32)
    return tf.function(function, input_signature=[spec], autograph=False)


def report_search(retriever: Retriever, images: np.ndarray) -> None:
    """Recall and speed of the search against the exact one."""
    search = graph(lambda batch: retriever.search(batch, 8))
    pair, exact = best_of_all(retriever, images[:REFERENCE])
    recall = np.mean(search(images[:REFERENCE]).pair.numpy()[:, 0] == pair)
    speed = throughput(search, images)
    print(f"exact search: {exact:.1f} images/s")
    print(f"search, 8 neighbours: {speed:.0f} images/s ({speed / exact:.0f} x exact)")
    print(f"recall@1 on {REFERENCE} images: {recall:.4f}")
    print(f"one warm image: {latency(search, images):.1f} ms")


def report_growth(world: World, config: RetrievalConfig) -> None:
    """Query time over the size of the storage."""
    print("| pairs | embeddings | build (s) | us an image |\n|---|---|---|---|")
    pairs = len(world.keys)
    for count in (pairs // 10, pairs // 4, pairs // 2, pairs):
        start = time.perf_counter()
        retriever = Retriever.build(stored_pairs(world, count), config, seed=0)
        build = time.perf_counter() - start
        speed = throughput(graph(partial(retriever.search, k=8)), world.images)
        embeddings = retriever.index.embeddings.shape[0]
        print(f"| {count} | {embeddings} | {build:.1f} | {1e6 / speed:.0f} |")


def report_accuracy(retriever: Retriever, world: World, queries: int) -> None:
    """RMSE and speed of several blendings, and of what tuning without labels chooses."""
    blendings = (
        Blending(1, "nearest"),
        Blending(8, "softmax"),
        Blending(32, "softmax"),
        Blending(32, "reconstruction"),
        Blending(64, "reconstruction"),
        Blending(96, "reconstruction"),
    )
    print("| weights | neighbours | RMSE | images/s |\n|---|---|---|---|")
    for blending in blendings:
        print_accuracy(retriever, world, queries, blending)
    start = time.perf_counter()
    noise = find_noise(retriever, world.images[queries:], seed=0)
    found = time.perf_counter() - start
    tuned, trials = tune(retriever, world.images[queries:], noise, seed=0)
    seconds = time.perf_counter() - start
    print_accuracy(tuned, world, queries, Blending.of(tuned.config), " (tuned)")
    print(f"tuning: {seconds:.0f} s, of them {found:.0f} s for the noise, {trials[0]}")


def print_accuracy(
    retriever: Retriever, world: World, queries: int, blending: Blending, note: str = ""
) -> None:
    images, truth = world.images[:queries].astype(np.float32), world.depth[:queries]
    num_candidates = blending.num_candidates(retriever.config)
    depth = graph(
        lambda batch: (
            blend(retriever, batch, retriever.search(batch, num_candidates), blending).depth
        )
    )
    parts = [depth(images[i : i + BATCH]).numpy() for i in range(0, queries, BATCH)]
    rmse = np.sqrt(np.mean(np.square(np.concatenate(parts) - truth)))
    speed = throughput(depth, images)
    print(f"| {blending.weights}{note} | {blending.k} | {rmse:.3f} | {speed:.0f} |")


def report_coverage(retriever: Retriever, world: World, queries: int) -> None:
    """Coverage of 90 % intervals: held-out pairs, and fab images, whose depth is known here."""
    made = fitted(retriever, fab_images(world.images[queries:]), RunConfig())
    average, intervals = made.average, made.intervals
    if average is None or intervals is None:
        raise SystemExit("one pair alone has no intervals")
    parts = []
    for start in range(0, queries, BATCH):
        chosen = slice(start, min(start + BATCH, queries))
        images = tf.constant(world.images[chosen], tf.float32)
        candidates = made.retriever.search(images, num_to_search(made.retriever, average.blending))
        depth, spread, _, _ = depth_and_spread(made.retriever, images, candidates, average.blending)
        combined = average.combined(images, depth, spread)
        half_width = NORMAL * intervals.sigma(combined, candidates.similarity[:, 0]).numpy()
        error = np.abs(combined.depth.numpy() - world.depth[chosen])
        zone = intervals.zone(combined.depth, spread).numpy()
        parts.append(Checked(error, half_width, zone))
    columns = zip(*parts, strict=True)
    fab, _, _ = summary(Checked(*(np.concatenate(column) for column in columns)))
    print("| zone | held-out pairs | fab images | half width | pixels |\n|---|---|---|---|---|")
    for zone, share in intervals.coverage.items():
        print(
            f"| {zone} | {share:.1%} | {fab.get(zone, np.nan):.1%} | "
            f"{intervals.half_width[zone]:.2f} | {intervals.pixels[zone]:.1%} |"
        )


def report_predict(run: Path, made: World, queries: int, work: Path) -> None:
    """A whole prediction at this size: files to files, four cases, classified."""
    folder = full_size_run(run, made, queries, work)
    images = work / "images"
    images.mkdir(exist_ok=True)
    for i, image in enumerate(np.load(folder / IMAGES)):
        Image.fromarray(image).save(images / f"{i:06d}.png")
    # In another process, so that the memory is that of predicting and not of what was built before.
    run_isolated(time_predict, folder, images, work)


def time_predict(run: Path, images: Path, work: Path) -> None:
    start = time.perf_counter()
    estimator = load(run)
    print(f"loaded in {time.perf_counter() - start:.1f} s; {resident():.2f} GiB resident")
    count = len(list(images.iterdir()))
    for turn in ("first", "warm"):
        start = time.perf_counter()
        predict_files(estimator, images, work / f"out-{turn}", None, None, None, False, False)
        seconds = time.perf_counter() - start
        print(f"predict, files to files, {turn}: {count / seconds:.0f} images/s")
    one = np.asarray(Image.open(next(images.iterdir())))[None]
    print(f"one warm image: {latency(estimator.predict, one.repeat(30, 0)):.1f} ms")
    print(f"{resident():.2f} GiB resident after it")


def resident() -> float:
    """Resident memory of this process now, in GiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--pairs", type=int, default=21_663)
    parser.add_argument("--queries", type=int, default=2_600)
    parser.add_argument("--run", type=Path, help="adapt the keys with this run, use its classifier")
    parser.add_argument("--work", type=Path, help="keep the run folder of that size in there")
    arguments = parser.parse_args()
    made = world(arguments.pairs, arguments.queries, arguments.run)
    images = made.images[: arguments.queries].astype(np.float32)
    for align in ("shift", "centre"):
        if not {"search", "accuracy", "coverage"} & set(arguments.parts) or (
            align == "centre" and "centre" not in arguments.parts
        ):
            continue
        start = time.perf_counter()
        retriever = Retriever.build(
            stored_pairs(made, arguments.pairs), RetrievalConfig(align=align), seed=0
        )
        print(f"\nalign={align}: built in {time.perf_counter() - start:.1f} s", flush=True)
        if "search" in arguments.parts:
            report_search(retriever, images)
        if "accuracy" in arguments.parts:
            report_accuracy(retriever, made, arguments.queries)
        if "coverage" in arguments.parts:
            report_coverage(retriever, made, arguments.queries)
        del retriever
    if "growth" in arguments.parts:
        report_growth(made, RetrievalConfig())
    if "predict" in arguments.parts and arguments.run is not None:
        with tempfile.TemporaryDirectory() as work:
            report_predict(arguments.run, made, arguments.queries, arguments.work or Path(work))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
