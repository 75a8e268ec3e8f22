"""The jobs that make a data set: each renders a batch of structures, on any core."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semtf.cases import CHALLENGE, Case, Cases
from semtf.progress import progress
from semtf.simulation import layout_writer
from semtf.simulation.fabs import Fab
from semtf.simulation.geometry import Structures
from semtf.simulation.rendering import Scene, render
from semtf.simulation.structure_source import TEST_NAMES, Draw, StructureSource, stream

MARGIN, MARGIN_PER_LEVEL = 750, 35
"""Plate pixels around a crop that its site's average depth counts: for a plate of 140, and for
each grey level above that. The challenge's cases get 750, 1100, 1450 and 1800."""

Averages = dict[str, float]
"""Average depth in grey levels by site."""
Job = Callable[[], tuple[int, Averages]]
"""A job makes a batch of images; it returns their number and the average depths of their sites."""


@dataclass(frozen=True)
class Plan:
    """An order for a data set: cases, counts per case, seed, fab, and the folder to write."""

    root: Path
    cases: Cases
    pairs: int
    train: int
    test: int
    seed: int
    fab: Fab
    target_keys: bool
    source: StructureSource

    @property
    def structures(self) -> int:
        """The number of structures to render, over all cases."""
        return len(self.cases) * (self.pairs + self.train + self.test)


def all_jobs(plan: Plan) -> list[Job]:
    """The jobs that make all images of a data set."""
    return [*_pair_jobs(plan), *_site_jobs(plan), *_test_jobs(plan)]


def run_jobs(jobs: list[Job], total: int) -> Averages:
    """Run jobs on all cores; ``total`` is the number of their structures.

    Returns:
        The average depths of all sites.
    """
    averages: Averages = {}
    with (
        progress("simulate", total) as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        futures: list[Future[tuple[int, Averages]]] = [pool.submit(job) for job in jobs]
        try:
            for future in futures:
                count, site_averages = future.result()
                averages.update(site_averages)
                advance(count, "")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return averages


def true_cases(plan: Plan) -> dict[int, int]:
    """The case of each test image, by the number that names it."""
    return {
        int(number): case.case
        for numbers, case in zip(_test_numbers(plan), plan.cases, strict=True)
        for number in numbers
    }


def field_margin(case: Case) -> int:
    """Plate pixels around a crop that the average depth of its site counts."""
    return max(0, MARGIN + MARGIN_PER_LEVEL * (case.plate - CHALLENGE[0].plate))


def average_depth(structures: Structures, case: Case) -> float:
    """Average depth in grey levels of a site's field of view: its crops and plate around them."""
    margin = field_margin(case)
    depth = structures.depth(case)
    pixels = depth[0].size
    return float((depth.mean() * pixels + case.plate * margin) / (pixels + margin))


def _pair_jobs(plan: Plan) -> list[Job]:
    return [partial(_make_pairs, plan, draw) for draw in plan.source.pairs()]


def _make_pairs(plan: Plan, draw: Draw) -> tuple[int, Averages]:
    structures, rng, key_rng = draw.structures(), draw.images(), draw.target_keys()
    scene = Scene.of(structures)
    for case in plan.cases:
        depth = structures.depth(case)
        images = render(scene, case, plan.fab.simulator, rng, exposures=2)
        keys = render(scene, case, plan.fab.microscope, key_rng)[0] if plan.target_keys else None
        for i, base in enumerate(draw.names):
            bucket = layout_writer.bucket(draw.first + i)
            layout_writer.save_pair(plan.root, case, bucket, base, images[:, i], depth[i])
            if keys is not None:
                layout_writer.save_target_key(plan.root, case, bucket, base, keys[i])
    return len(plan.cases) * len(draw.names), {}


def _site_jobs(plan: Plan) -> list[Job]:
    return [
        partial(_make_site, plan, case, site, draw)
        for case in plan.cases
        for site, draw in enumerate(plan.source.sites(case.case))
    ]


def _make_site(plan: Plan, case: Case, site: int, draw: Draw) -> tuple[int, Averages]:
    structures, rng = draw.structures(), draw.images()
    images = render(Scene.of(structures), case, plan.fab.microscope, rng)[0]
    for i, image in enumerate(images):
        colour = rng.random() < 2 / 3
        pixels = np.repeat(image[..., None], 3, axis=2) if colour else image
        layout_writer.save_fab_image(plan.root, case, site, draw.first + i, pixels)
    return len(images), {layout_writer.site_name(case, site): average_depth(structures, case)}


def _test_jobs(plan: Plan) -> list[Job]:
    numbers = _test_numbers(plan)
    jobs: list[Job] = []
    for row, case in enumerate(plan.cases):
        for draw in plan.source.tests(case.case):
            batch = numbers[row, draw.first : draw.first + len(draw.names)]
            jobs.append(partial(_make_tests, plan, case, batch, draw))
    return jobs


def _test_numbers(plan: Plan) -> NDArray[np.int64]:
    """Numbers of the test images, ``[case, structure]``: shuffled over the cases."""
    rng = stream(plan.seed, TEST_NAMES)
    return rng.permutation(len(plan.cases) * plan.test).reshape(len(plan.cases), plan.test)


def _make_tests(
    plan: Plan, case: Case, numbers: NDArray[np.int64], draw: Draw
) -> tuple[int, Averages]:
    structures, rng = draw.structures(), draw.images()
    images = render(Scene.of(structures), case, plan.fab.microscope, rng)[0]
    for number, image, depth in zip(numbers, images, structures.depth(case), strict=True):
        layout_writer.save_test_image(plan.root, int(number), image, depth)
    return len(images), {}
