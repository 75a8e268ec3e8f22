"""Where a data set's structures come from: drawn, or the shapes of given depth maps."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semtf.errors import InputError
from semtf.simulation.geometry import (
    FLOOR_LEVEL,
    Structures,
    draw_axes,
    draw_structures,
    structures_from_depth,
)

BATCH = 50
SITE_SIZES = (28, 32)
"""Crops of a site: at least the first, fewer than the second; the last site takes the rest."""

PAIRS, TRAIN, TEST = range(3)


@dataclass(frozen=True)
class Draw:
    """A batch of structures to come, and the random numbers of everything made from them.

    Attributes:
        first: index of the first structure among its kind (pairs, or fab images of a case).
        names: one name a structure.
    """

    first: int
    names: list[str]
    seed: tuple[int, ...]
    make: Callable[[np.random.Generator], Structures]

    def structures(self) -> tuple[Structures, np.random.Generator]:
        """The structures, and the generator to go on with for their images."""
        rng = np.random.default_rng(self.seed)
        return self.make(rng), rng


class StructureSource(Protocol):
    """Batches of structures for each part of a data set."""

    def pairs(self) -> list[Draw]: ...

    def sites(self, case: int) -> list[Draw]: ...

    def tests(self, case: int) -> list[Draw]: ...


def open_source(
    depth: Path | str | None, pairs: int, train: int, test: int, seed: int
) -> StructureSource:
    """Drawn structures, or those of the depth maps in a folder."""
    if depth is None:
        return DrawnSource(pairs, train, test, seed)
    return DepthSource(Path(depth), pairs, train, test, seed)


@dataclass(frozen=True)
class DrawnSource:
    """Structures drawn from the hole model; every case's fab structures are its own."""

    pair_count: int
    train_count: int
    test_count: int
    seed: int

    def pairs(self) -> list[Draw]:
        axes = draw_axes(np.random.default_rng([self.seed, PAIRS]), self.pair_count)
        return [
            _drawn(axes[i : i + BATCH], i, (self.seed, PAIRS, i))
            for i in range(0, self.pair_count, BATCH)
        ]

    def sites(self, case: int) -> list[Draw]:
        rng = np.random.default_rng([self.seed, TRAIN, case])
        edges = site_edges(rng, self.train_count)
        axes = draw_axes(rng, len(edges) - 1)
        return [
            _drawn(np.tile(axes[i], (last - first, 1)), first, (self.seed, TRAIN, case, first))
            for i, (first, last) in enumerate(itertools.pairwise(edges))
        ]

    def tests(self, case: int) -> list[Draw]:
        axes = draw_axes(np.random.default_rng([self.seed, TEST, case]), self.test_count)
        return [
            _drawn(axes[i : i + BATCH], i, (self.seed, TEST, case, i))
            for i in range(0, self.test_count, BATCH)
        ]


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
        order = np.random.default_rng(seed).permutation(len(files))[:needed]
        self.files = [files[i] for i in order]
        self.maps = _read_depth_maps(self.files)

    def pairs(self) -> list[Draw]:
        return [self._draw(PAIRS, first, last, 0) for first, last in _batches(self.counts[PAIRS])]

    def sites(self, case: int) -> list[Draw]:
        edges = site_edges(np.random.default_rng([self.seed, TRAIN]), self.counts[TRAIN])
        bounds = itertools.pairwise(edges)
        return [self._draw(TRAIN, first, last, case) for first, last in bounds]

    def tests(self, case: int) -> list[Draw]:
        return [self._draw(TEST, first, last, case) for first, last in _batches(self.counts[TEST])]

    def _draw(self, part: int, first: int, last: int, case: int) -> Draw:
        start = sum(self.counts[:part])
        chosen = slice(start + first, start + last)
        maps = self.maps[chosen]
        names = [file.stem for file in self.files[chosen]]
        seed = (self.seed, part, case, first)
        return Draw(first, names, seed, lambda _: structures_from_depth(maps))


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


def _drawn(axes: NDArray[np.float32], first: int, seed: tuple[int, ...]) -> Draw:
    names = [base_name(first + i) for i in range(len(axes))]
    return Draw(first, names, seed, lambda rng: draw_structures(rng, axes))


def _read_depth_maps(files: list[Path]) -> NDArray[np.uint8]:
    maps = [_read_depth_map(file) for file in files]
    for file, depth in zip(files, maps, strict=True):
        if depth.shape != maps[0].shape:
            raise InputError(
                f"{file}: {depth.shape[0]} × {depth.shape[1]} pixels, but {files[0].name} has "
                f"{maps[0].shape[0]} × {maps[0].shape[1]}; all depth maps must be of one size"
            )
    return np.stack(maps) if maps else np.empty((0, 0, 0), np.uint8)


def _read_depth_map(file: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise InputError(f"{file}: not a readable PNG ({error}); remove or replace it") from error
    if mode != "L":
        raise InputError(f"{file}: mode {mode}; a depth map must be an 8-bit grey PNG")
    if pixels.max() <= FLOOR_LEVEL:
        raise InputError(
            f"{file}: plate level {pixels.max()}; a depth map's plate must lie above {FLOOR_LEVEL}"
        )
    return pixels
