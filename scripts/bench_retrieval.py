"""Retrieval at the challenge's size: build, recall, speed, growth, memory and accuracy.

    scripts/bench retrieval [--pairs 21663] [--queries 2600] [--run RUN]

Case 1 of a synthetic `struct` fab, keys as the fab's microscope shows them. The reference is the
exact search: all pixels, all shifts, `tf.matmul` in float32, in the same run. With ``--run`` the
keys are the pairs' simulator images as the generator of that run's case 1 adapts them.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from semtf.adaptation import adapter
from semtf.config import RetrievalConfig, Weights
from semtf.retrieval.embedding import back_projected, normalise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.rows import flat
from semtf.retrieval.storage import Storage
from semtf.retrieval.tuning import tune
from semtf.run import Run
from semtf.simulation.microscope import SIMULATOR, STRUCT, Scene, render
from semtf.simulation.source import Draw, open_source

CASE, REFERENCE, TUNING, BATCH = 1, 256, 256, 512


class World(NamedTuple):
    """Case 1 of a fab: pairs and test images with their true depth, uint8 ``[n, H, W]``."""

    keys: np.ndarray
    values: np.ndarray
    images: np.ndarray
    depth: np.ndarray


def world(pairs: int, queries: int, run: Path | None) -> World:
    """Draw and render it; images beyond ``queries`` stand for the unlabelled fab images."""
    source = open_source(None, pairs, 0, queries + TUNING, seed=0)

    def fab(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        structures = draw.structures()
        image = render(Scene.of(structures), CASE, STRUCT, draw.images())[0]
        return image, structures.depth(CASE)

    def simulator(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        structures = draw.structures()
        images = render(Scene.of(structures), CASE, SIMULATOR, draw.images(), exposures=2)
        return images.mean(axis=0), structures.depth(CASE)

    keys, values = drawn(source.pairs(), simulator if run else fab)
    return World(adapted(keys, run) if run else keys, values, *drawn(source.tests(CASE), fab))


def drawn(
    draws: list[Draw], one: Callable[[Draw], tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = zip(*pool.map(one, draws), strict=True)
        return [np.concatenate(part) for part in parts]


def adapted(images: np.ndarray, run: Path) -> np.ndarray:
    """Simulator images ``[n, H, W]`` as the adapter of a run shows them, uint8."""
    config = Run.open(run).config
    folder = Run.open(run).adaptation(CASE)
    return adapter.load(folder, config.image, config.adaptation).adapt(images)


def best_of_all(retriever: Retriever, images: np.ndarray) -> tuple[np.ndarray, float]:
    """The most similar pair of each image by exact search, and images a second."""
    moves = tf.transpose(back_projected(normalise(tf.constant(images)), 2), [1, 0, 2, 3])
    moves = tf.reshape(moves, [moves.shape[0], len(images), -1])
    keys = tf.constant(flat(retriever.storage.keys), tf.float32)
    lengths = retriever.lengths.numpy()
    best = np.full((len(keys), len(images)), -np.inf, np.float32)
    start = time.perf_counter()
    for s, move in enumerate(moves):
        products = tf.matmul(keys, move, transpose_b=True).numpy()
        np.maximum(best, products / lengths[:, s : s + 1], out=best)
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
    spec = tf.TensorSpec([None, 72, 48], tf.float32)
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
    print("| pairs | rows | build (s) | us an image |\n|---|---|---|---|")
    pairs = len(world.keys)
    for count in (pairs // 10, pairs // 5, pairs // 2, pairs):
        start = time.perf_counter()
        retriever = Retriever.build(stored(world, count), config, seed=0)
        build = time.perf_counter() - start
        speed = throughput(graph(lambda batch, r=retriever: r.search(batch, 8)), world.images)
        rows = retriever.index.rows.shape[0]
        print(f"| {count} | {rows} | {build:.1f} | {1e6 / speed:.0f} |")


def report_accuracy(retriever: Retriever, world: World, queries: int) -> None:
    """RMSE and speed of ways to weight, and of what tuning without labels chooses."""
    ways: tuple[tuple[Weights, int], ...] = (
        ("nearest", 1),
        ("softmax", 8),
        ("softmax", 32),
        ("reconstruction", 64),
        ("reconstruction", 128),
        ("reconstruction", 256),
    )
    print("| weights | neighbours | RMSE | images/s |\n|---|---|---|---|")
    for weights, k in ways:
        print_way(retriever, world, queries, weights, k)
    start = time.perf_counter()
    trials = tune(retriever, world.images[queries:], seed=0)
    seconds = time.perf_counter() - start
    print_way(retriever, world, queries, trials[0].weights, trials[0].neighbours, " (tuned)")
    print(f"tuning: {seconds:.0f} s, {trials[0]}")


def print_way(
    retriever: Retriever, world: World, queries: int, weights: Weights, k: int, note: str = ""
) -> None:
    images, depth = world.images[:queries].astype(np.float32), world.depth[:queries]
    found = graph(lambda batch: retriever.depth(batch, k, weights)[0])
    parts = [found(images[i : i + BATCH]).numpy() for i in range(0, queries, BATCH)]
    rmse = np.sqrt(np.mean(np.square(np.concatenate(parts) - depth)))
    print(f"| {weights}{note} | {k} | {rmse:.3f} | {throughput(found, images):.0f} |")


def stored(world: World, count: int) -> Storage:
    names = np.array([f"pair_{i:05d}" for i in range(count)])
    return Storage(world.keys[:count], world.values[:count], names, CASE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=21_663)
    parser.add_argument("--queries", type=int, default=2_600)
    parser.add_argument("--run", type=Path, help="adapt the keys with this run's generator")
    arguments = parser.parse_args()
    made = world(arguments.pairs, arguments.queries, arguments.run)
    images = made.images[: arguments.queries].astype(np.float32)
    for align in ("shift", "centre"):
        config = RetrievalConfig(align=align)
        start = time.perf_counter()
        retriever = Retriever.build(stored(made, arguments.pairs), config, seed=0)
        print(f"\nalign={align}: built in {time.perf_counter() - start:.1f} s", flush=True)
        report_search(retriever, images)
        report_accuracy(retriever, made, arguments.queries)
    print()
    report_growth(made, RetrievalConfig())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak resident memory: {peak:.2f} GiB; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
