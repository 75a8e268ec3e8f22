"""Speed of the synthetic fab: rendering in memory, and a whole data set on disk.

scripts/bench simulator [--pairs N] [--train N] [--test N]
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np

from semtf.cases import CHALLENGE
from semtf.simulation.geometry import draw_axes, draw_structures
from semtf.simulation.microscope import SIMULATOR, STRUCT
from semtf.simulation.rendering import Scene, render
from semtf.simulation.world import simulate

BATCH = 50


def render_batch(seed: int) -> int:
    """Draw 50 structures and render them as `simulate` does: two exposures in four cases, and
    once as fab images; returns the number of images."""
    rng = np.random.default_rng(seed)
    scene = Scene.of(draw_structures(rng, draw_axes(rng, BATCH)))
    for case in CHALLENGE:
        render(scene, case, SIMULATOR, rng, exposures=2)
    render(scene, CHALLENGE[0], STRUCT, rng)
    return (2 * len(CHALLENGE) + 1) * BATCH


def rendering(batches: int) -> float:
    """Images a second, on all cores, without writing them."""
    render_batch(0)
    start = time.perf_counter()
    with ThreadPoolExecutor(cpu_count()) as pool:
        images = sum(pool.map(render_batch, range(batches)))
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--test", type=int, default=400)
    options = parser.parse_args()
    speed = rendering(batches=8)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        simulate(Path(folder) / "data", **vars(options))
        seconds = time.perf_counter() - start
    images = len(CHALLENGE) * (2 * options.pairs + options.train + options.test)
    figures = {
        "cores": cpu_count(),
        "rendered_images_a_second": round(speed),
        "data_set_seconds": round(seconds, 1),
        "sem_images_written": images,
        "written_images_a_second": round(images / seconds),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
