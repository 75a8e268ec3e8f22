"""The synthetic fab's data set, in the challenge's layout."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semtf.cases import CASES_FILE, CHALLENGE, Case, Cases, cases_json, check_cases
from semtf.errors import InputError
from semtf.outputs import check_folder, is_free, take_name
from semtf.progress import progress
from semtf.simulation.fabs import PRESETS, Fab
from semtf.simulation.geometry import FLOOR_LEVEL, Structures
from semtf.simulation.rendering import Scene, render
from semtf.simulation.structure_source import TEST_NAMES, Draw, StructureSource, open_source, stream
from semtf.simulation.zoo import open_fab

BUCKETS = (80, 81, 82, 83, 84)
MARGIN, MARGIN_PER_LEVEL = 750, 35
"""Plate pixels around a crop that its site's average depth counts: for a plate of 140, and for
each grey level above that. The challenge's cases get 750, 1100, 1450 and 1800."""


@dataclass(frozen=True)
class Order:
    """What to make: cases, counts per case, seed, the fab and where to write."""

    root: Path
    cases: Cases
    pairs: int
    train: int
    test: int
    seed: int
    fab: Fab
    target_keys: bool
    source: StructureSource


def simulate(
    out: Path | str,
    *,
    pairs: int = 1000,
    train: int = 400,
    test: int = 400,
    seed: int = 0,
    fab: str | Path = "struct",
    target_keys: bool = False,
    depth: Path | str | None = None,
    cases: Cases = CHALLENGE,
) -> Path:
    """Write a synthetic data set in the challenge's layout, with the truth of its test images.

    The structures of pairs, fab training images and test images are independent draws; pairs
    recur in all cases under the same base names. The same arguments give the same bytes.

    Args:
        out: folder to make; it must not exist or be empty.
        pairs: structures a case, each with two simulator images and a depth map.
        train: fab images a case, in sites of about 30 crops.
        test: fab images a case; they are written shuffled over the cases, with
            ``truth/Depth/<name>.png`` and ``truth/cases.csv``.
        seed: seed of everything that is drawn.
        fab: the fab: ``dose``, ``tonal`` or ``struct``; ``random`` for the zoo's fab of the seed,
            whose structures and microscopes are written to ``truth/fab.json``; or the path of
            such a file.
        target_keys: also write ``truth/SEM/<case>/<bucket>/<base>.png``, each pair's structure
            as the fab's microscope shows it.
        depth: folder of 8-bit depth maps (PNG) whose shapes take the place of drawn ones.
        cases: plate levels and folders; other cases than the challenge's are written into
            ``cases.json`` at the top of the data set.

    Returns:
        ``out`` as a path.

    Raises:
        InputError: an unknown or unreadable fab, a negative count, an ``out`` in use, or depth maps
            that are missing, too few or unreadable.
    """
    out = Path(out)
    _check(out, {"--pairs": pairs, "--train": train, "--test": test, "--seed": seed})
    _check_plates(cases)
    kind = open_fab(fab, seed)
    source = open_source(depth, pairs, train, test, seed, kind.holes)
    with _built(out) as root:
        order = Order(root, cases, pairs, train, test, seed, kind, target_keys, source)
        works = [*_pair_works(order), *_train_works(order), *_test_works(order)]
        averages = _run(works, len(cases) * (pairs + train + test))
        _write_averages(order, averages)
        _write_cases(order)
        if cases != CHALLENGE:
            (root / CASES_FILE).write_text(cases_json(cases), encoding="utf-8")
        if kind not in PRESETS.values():
            note = kind.to_json(None if depth is None else "Taken from given depth maps.")
            (root / "truth/fab.json").write_text(note, encoding="utf-8")
    return out


def _check_plates(cases: Cases) -> None:
    check_cases(cases, "cases")
    for case in cases:
        if case.plate <= FLOOR_LEVEL:
            raise InputError(
                f"cases: case {case.case}: plate {case.plate}; the floor of every hole is "
                f"{FLOOR_LEVEL:g}, so a plate must lie above it"
            )


def _check(out: Path, counts: dict[str, int]) -> None:
    for option, count in counts.items():
        if count < 0:
            raise InputError(f"{option} {count}: must not be negative")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; name a new folder")
    if not is_free(out):
        raise InputError(f"{out}: is not empty; name a new folder or empty it first")
    check_folder(out)


@contextmanager
def _built(out: Path) -> Iterator[Path]:
    """A temporary sibling of ``out`` that takes its name only when the block ends well."""
    out = out.resolve()
    partial_out = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial_out, ignore_errors=True)
    partial_out.mkdir(parents=True)
    try:
        yield partial_out
        take_name(partial_out, out)
    finally:
        shutil.rmtree(partial_out, ignore_errors=True)


Averages = dict[str, float]
Work = Callable[[], tuple[int, Averages]]


def _run(works: list[Work], total: int) -> Averages:
    """Run the works on all cores; each returns how many images it made, and site averages."""
    averages: Averages = {}
    with (
        progress("simulate", total) as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        futures: list[Future[tuple[int, Averages]]] = [pool.submit(work) for work in works]
        try:
            for future in futures:
                count, site_averages = future.result()
                averages.update(site_averages)
                advance(count, "")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return averages


def _pair_works(order: Order) -> list[Work]:
    return [partial(_make_pairs, order, draw) for draw in order.source.pairs()]


def _make_pairs(order: Order, draw: Draw) -> tuple[int, Averages]:
    structures, rng, key_rng = draw.structures(), draw.images(), draw.target_keys()
    scene = Scene.of(structures)
    for case in order.cases:
        depth = structures.depth(case)
        images = render(scene, case, order.fab.simulator, rng, exposures=2)
        keys = render(scene, case, order.fab.microscope, key_rng)[0] if order.target_keys else None
        for i, base in enumerate(draw.names):
            folder = f"{case.simulator}/{BUCKETS[(draw.first + i) % len(BUCKETS)]}"
            _save(order.root / "simulation_data/Depth" / folder / f"{base}.png", depth[i])
            for itr in (0, 1):
                name = f"{base}_itr{itr}.png"
                _save(order.root / "simulation_data/SEM" / folder / name, images[itr, i])
            if keys is not None:
                _save(order.root / "truth/SEM" / folder / f"{base}.png", keys[i])
    return len(order.cases) * len(draw.names), {}


def _train_works(order: Order) -> list[Work]:
    return [
        partial(_make_site, order, case, site, draw)
        for case in order.cases
        for site, draw in enumerate(order.source.sites(case.case))
    ]


def _make_site(order: Order, case: Case, site: int, draw: Draw) -> tuple[int, Averages]:
    structures, rng = draw.structures(), draw.images()
    images = render(Scene.of(structures), case, order.fab.microscope, rng)[0]
    folder = order.root / "train/SEM" / case.fab / f"site_{site:05d}"
    for i, image in enumerate(images):
        colour = rng.random() < 2 / 3
        pixels = np.repeat(image[..., None], 3, axis=2) if colour else image
        _save(folder / f"SEM_{draw.first + i:06d}.png", pixels)
    name = f"{case.fab.lower()}_{folder.name}"
    return len(images), {name: average_depth(structures, case)}


def field_margin(case: Case) -> int:
    """Plate pixels around a crop that the average depth of its site counts."""
    return max(0, MARGIN + MARGIN_PER_LEVEL * (case.plate - CHALLENGE[0].plate))


def average_depth(structures: Structures, case: Case) -> float:
    """Average depth in grey levels of a site's field of view: its crops and plate around them."""
    margin = field_margin(case)
    depth = structures.depth(case)
    pixels = depth[0].size
    return float((depth.mean() * pixels + case.plate * margin) / (pixels + margin))


def _test_works(order: Order) -> list[Work]:
    names = _test_names(order)
    works: list[Work] = []
    for row, case in enumerate(order.cases):
        for draw in order.source.tests(case.case):
            chosen = names[row, draw.first : draw.first + len(draw.names)]
            works.append(partial(_make_tests, order, case, chosen, draw))
    return works


def _test_names(order: Order) -> NDArray[np.int64]:
    """Numbers of the test images, ``[case, structure]``: shuffled over the cases."""
    rng = stream(order.seed, TEST_NAMES)
    return rng.permutation(len(order.cases) * order.test).reshape(-1, order.test)


def _make_tests(
    order: Order, case: Case, names: NDArray[np.int64], draw: Draw
) -> tuple[int, Averages]:
    structures, rng = draw.structures(), draw.images()
    images = render(Scene.of(structures), case, order.fab.microscope, rng)[0]
    for name, image, depth in zip(names, images, structures.depth(case), strict=True):
        _save(order.root / f"test/SEM/{name:06d}.png", image)
        _save(order.root / f"truth/Depth/{name:06d}.png", depth)
    return len(images), {}


def _write_averages(order: Order, averages: Averages) -> None:
    path = order.root / "train/average_depth.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["0", "1"])
        writer.writerows((site, f"{value:.6f}") for site, value in sorted(averages.items()))


def _write_cases(order: Order) -> None:
    path = order.root / "truth/cases.csv"
    path.parent.mkdir(exist_ok=True)
    names = _test_names(order)
    cases = {
        int(name): case.case for row, case in zip(names, order.cases, strict=True) for name in row
    }
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "case"])
        writer.writerows((f"{name:06d}.png", cases[name]) for name in sorted(cases))


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)
