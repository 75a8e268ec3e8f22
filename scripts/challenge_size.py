"""A fab as large as the challenge's: pairs of case 1, and a run folder with them in each case."""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semtf.adaptation import adapter
from semtf.cases import CHALLENGE, Case, case_numbers
from semtf.config import RetrievalConfig
from semtf.data.image_sets import FabSet, ImageSet, name_array
from semtf.estimation.preparation import prepare
from semtf.retrieval.storage import Storage
from semtf.run import Run
from semtf.simulation.microscope import SIMULATOR, STRUCT
from semtf.simulation.rendering import Scene, render
from semtf.simulation.structure_source import Draw, open_source

CASE, TUNING = CHALLENGE[0], 256
IMAGES = "images.npy"


class World(NamedTuple):
    """Case 1 of a fab: pairs and test images with their true depth, uint8 ``[n, H, W]``."""

    keys: np.ndarray
    values: np.ndarray
    images: np.ndarray
    depth: np.ndarray


def world(pairs: int, queries: int, run: Path | None, seed: int = 0) -> World:
    """Draw and render a world; images beyond ``queries`` stand for the unlabelled fab images."""
    source = open_source(None, pairs, 0, queries + TUNING, seed=seed)

    def fab(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        structures = draw.structures()
        image = render(Scene.of(structures), CASE, STRUCT, draw.images())[0]
        return image, structures.depth(CASE)

    def simulator(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        structures = draw.structures()
        images = render(Scene.of(structures), CASE, SIMULATOR, draw.images(), exposures=2)
        return images.mean(axis=0), structures.depth(CASE)

    keys, values = drawn(source.pairs(), simulator if run else fab)
    return World(adapted(keys, run) if run else keys, values, *drawn(source.tests(CASE.case), fab))


def drawn(
    draws: list[Draw], function: Callable[[Draw], tuple[np.ndarray, ...]]
) -> list[np.ndarray]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = zip(*pool.map(function, draws), strict=True)
        return [np.concatenate(part) for part in parts]


def adapted(images: np.ndarray, run: Path) -> np.ndarray:
    """Simulator images ``[n, H, W]`` as the adapter of a run shows them, uint8."""
    config = Run.open(run).config
    folder = Run.open(run).adaptation(CASE.case)
    return adapter.load(folder, config.image, config.adaptation).adapt(images)


def stored_pairs(world: World, count: int, case: int = CASE.case) -> Storage:
    names = np.array([f"pair_{i:05d}" for i in range(count)])
    return Storage(world.keys[:count], world.values[:count], names, case)


def fab_images(images: np.ndarray, case: int = CASE.case) -> FabSet:
    """Images ``[n, H, W]`` as those of the fab, each a site of its own."""
    names = name_array(map(str, range(len(images))))
    return ImageSet(images, names).as_fab(case)


def full_size_run(run: Path, made: World, queries: int, work: Path) -> Path:
    """A run folder with that many pairs in each case, and images of all cases to estimate.

    Classifier and adapters are those of a trained run. The storages hold the pairs of case 1 in
    four orders, so that none shares an index with another. A folder of that size is used again.
    """
    folder = work / f"run-{len(made.keys)}"
    if (folder / IMAGES).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    opened = Run.open(run)
    config = dataclasses.replace(opened.config, retrieval=RetrievalConfig())
    whole = Run.create(folder, config)
    shutil.copytree(opened.classifier, whole.classifier)
    for case in case_numbers(CHALLENGE):
        shutil.copytree(opened.adaptation(case), whole.adaptation(case))
        start = time.perf_counter()
        order = np.random.default_rng(case).permutation(len(made.keys))
        part = stored_pairs(made, len(order), case)
        storage = Storage.create(
            whole.storage(case),
            case=case,
            keys=part.keys[order],
            values=part.values[order],
            names=part.names,
        )
        prepare(storage, fab_images(made.images[-TUNING:], case), config, whole.storage(case))
        seconds = time.perf_counter() - start
        print(f"case {case}: stored, tuned, calibrated in {seconds:.0f} s", flush=True)
    np.save(folder / IMAGES, _drawn_images(queries))
    return folder


def _drawn_images(count: int) -> np.ndarray:
    """Images of the fab, the cases taking turns, uint8 ``[count, H, W]``."""
    source = open_source(None, 1, 0, -(-count // len(CHALLENGE)), seed=1)

    def rendered(case: Case, draw: Draw) -> tuple[np.ndarray]:
        return (render(Scene.of(draw.structures()), case, STRUCT, draw.images())[0],)

    by_case = [drawn(source.tests(case.case), partial(rendered, case))[0] for case in CHALLENGE]
    images: np.ndarray = np.stack(by_case, axis=1).reshape(-1, *by_case[0].shape[1:])[:count]
    return images
