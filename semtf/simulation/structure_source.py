"""Where a data set's structures come from: drawn, or the shapes of given depth maps."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semtf.config import SHAPE
from semtf.data.png import read_png
from semtf.errors import InputError
from semtf.simulation.geometry import (
    FLOOR_LEVEL,
    Structures,
    draw_axes,
    draw_structures,
    structures_from_depth,
)
from semtf.simulation.holes import HOLE, HoleModel

BATCH = 50
SITE_SIZES = (28, 32)
"""Crops of a site: at least the first, fewer than the second; the last site takes the rest."""

PAIRS, TRAIN, TEST, TEST_NAMES, FILES, FAB = range(6)
STRUCTURES, IMAGES, KEYS = range(3)


def stream(seed: int, *key: int) -> np.random.Generator:
    """The stream of random numbers with a key, independent of those with other keys."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


@dataclass(frozen=True)
class Draw:
    """A batch of structures to come, and the random numbers of everything made from them.

    The streams of random numbers are independent of one another and of the order of work.

    Attributes:
        first: index of the first structure among its kind (pairs, or fab images of a case).
        names: one name a structure.
    """

    first: int
    names: list[str]
    seed: int
    key: tuple[int, ...]
    make: Callable[[np.random.Generator], Structures]

    def structures(self) -> Structures:
        """The structures."""
        return self.make(stream(self.seed, *self.key, STRUCTURES))

    def images(self) -> np.random.Generator:
        """Random numbers for the structures' images."""
        return stream(self.seed, *self.key, IMAGES)

    def target_keys(self) -> np.random.Generator:
        """Random numbers for their target keys, so that these change nothing else."""
        return stream(self.seed, *self.key, KEYS)


class StructureSource(Protocol):
    """Batches of structures for each part of a data set."""

    def pairs(self) -> list[Draw]: ...

    def sites(self, case: int) -> list[Draw]: ...

    def tests(self, case: int) -> list[Draw]: ...


def open_source(
    depth: Path | str | None, pairs: int, train: int, test: int, seed: int, model: HoleModel = HOLE
) -> StructureSource:
    """Structures drawn from a hole model, or those of the depth maps in a folder."""
    if depth is None:
        return DrawnSource(pairs, train, test, seed, model)
    return DepthSource(Path(depth), pairs, train, test, seed)


@dataclass(frozen=True)
class DrawnSource:
    """Structures drawn from the hole model; every case's fab structures are its own."""

    pair_count: int
    train_count: int
    test_count: int
    seed: int
    model: HoleModel = HOLE

    def pairs(self) -> list[Draw]:
        axes = draw_axes(stream(self.seed, PAIRS), self.pair_count, self.model)
        return [
            self._drawn(axes[i : i + BATCH], i, (PAIRS, i))
            for i in range(0, self.pair_count, BATCH)
        ]

    def sites(self, case: int) -> list[Draw]:
        rng = stream(self.seed, TRAIN, case)
        edges = site_edges(rng, self.train_count)
        axes = draw_axes(rng, len(edges) - 1, self.model)
        return [
            self._drawn(np.tile(axes[i], (last - first, 1)), first, (TRAIN, case, first))
            for i, (first, last) in enumerate(itertools.pairwise(edges))
        ]

    def tests(self, case: int) -> list[Draw]:
        axes = draw_axes(stream(self.seed, TEST, case), self.test_count, self.model)
        return [
            self._drawn(axes[i : i + BATCH], i, (TEST, case, i))
            for i in range(0, self.test_count, BATCH)
        ]

    def _drawn(self, axes: NDArray[np.float32], first: int, key: tuple[int, ...]) -> Draw:
        names = [base_name(first + i) for i in range(len(axes))]
        make = partial(draw_structures, axes=axes, model=self.model)
        return Draw(first, names, self.seed, key, make)


class DepthSource:
    """The shapes of given depth maps, split at random into pairs, fab and test structures.

    Every case shows the same shapes, scaled by the depth law.
    """

    def __init__(self, folder: Path, pairs: int, train: int, test: int, seed: int) -> None:
        self.counts = (pairs, train, test)
        self.seed = seed
        files = sorted(folder.glob("*.png"))
        needed = sum(self.counts)
        if len(files) < needed:
            raise InputError(
                f"--depth {folder}: {len(files)} PNG files, fewer than --pairs + --train + "
                f"--test = {needed}; ask for fewer"
            )
        order = stream(seed, FILES).permutation(len(files))[:needed]
        self.files = [files[i] for i in order]
        self.maps = [_read_depth_map(file) for file in self.files]

    def pairs(self) -> list[Draw]:
        return [self._draw(PAIRS, first, last, 0) for first, last in _batches(self.counts[PAIRS])]

    def sites(self, case: int) -> list[Draw]:
        edges = site_edges(stream(self.seed, TRAIN), self.counts[TRAIN])
        bounds = itertools.pairwise(edges)
        return [self._draw(TRAIN, first, last, case) for first, last in bounds]

    def tests(self, case: int) -> list[Draw]:
        return [self._draw(TEST, first, last, case) for first, last in _batches(self.counts[TEST])]

    def _draw(self, part: int, first: int, last: int, case: int) -> Draw:
        start = sum(self.counts[:part])
        chosen = slice(start + first, start + last)
        maps = self.maps[chosen]
        names = [file.stem for file in self.files[chosen]]
        key = (part, case, first)
        return Draw(first, names, self.seed, key, lambda _: structures_from_depth(np.stack(maps)))


def base_name(index: int) -> str:
    """Base name of a drawn pair, in the form of the challenge's files."""
    day, rest = divmod(index, 30_000)
    wafer, rest = divmod(rest, 3_000)
    measurement, crop = divmod(rest, 3)
    date = 20201001 + day
    time = f"{20 - wafer:02d}2940"
    return f"{date}_{time}_NE142400C_RAE01_1_S01_M{measurement + 1:04d}-01MS_{crop + 1}"


def site_edges(rng: np.random.Generator, count: int) -> list[int]:
    """Where sites begin and end among ``count`` fab images."""
    edges = [0]
    while edges[-1] < count:
        edges.append(min(edges[-1] + int(rng.integers(*SITE_SIZES)), count))
    return edges


def _batches(count: int) -> list[tuple[int, int]]:
    return [(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]


def _read_depth_map(file: Path) -> NDArray[np.uint8]:
    depth = read_png(file, SHAPE)
    if depth.max() <= FLOOR_LEVEL:
        raise InputError(
            f"{file}: plate level {depth.max()}; a depth map's plate must lie above {FLOOR_LEVEL}"
        )
    return depth
