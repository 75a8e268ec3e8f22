"""A data set in the challenge's layout, packed and ready to draw from."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semtf.data import layout, packing
from semtf.data.average_depth import read_average_depth
from semtf.data.decoding import Decoder, Task
from semtf.data.file_source import File, Source, open_source, where
from semtf.data.image_sets import FabSet, ImageSet, Names, SimulatorSet
from semtf.data.images import Gray, Size
from semtf.data.layout import Layout, Member, Skipped
from semtf.errors import InputError
from semtf.progress import progress

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Dataset",
    "FabSet",
    "ImageSet",
    "SimulatorSet",
    "Skipped",
    "open_dataset",
    "open_images",
]

IMAGES = (".png", ".tif", ".tiff")
WAY_OUT = "repair or remove it, or leave bad files out with --skip-bad"


@dataclass(frozen=True)
class Dataset:
    """An open data set; see `open_dataset`."""

    root: Path
    cases: tuple[int, ...]
    average_depth: "pd.DataFrame"
    skipped: list[Skipped]
    _simulator: dict[int, SimulatorSet]
    _fab: dict[int, FabSet]
    _test: ImageSet

    def simulator(self, case: int) -> SimulatorSet:
        """The simulator's pairs of a case; raises InputError where the case was not opened."""
        return self._simulator[self._checked(case)]

    def fab(self, case: int) -> FabSet:
        """The fab's images of a case; raises InputError where the case was not opened."""
        return self._fab[self._checked(case)]

    def site_depths(self, case: int) -> npt.NDArray[np.float64]:
        """The average depth of each fab image's site, ``[m]`` in grey levels.

        NaN where average_depth.csv does not have the site.
        """
        table = self.average_depth[self.average_depth["case"] == case]
        known = dict(zip(table["site"], table["depth"], strict=True))
        sites = self.fab(case).sites
        return np.array([known.get(str(site), np.nan) for site in sites], np.float64)

    def test(self) -> ImageSet:
        """The test images; raises InputError where there are none."""
        if not len(self._test):
            raise InputError(f"{self.root}: there are no images in test/SEM")
        return self._test

    def _checked(self, case: int) -> int:
        if case not in self.cases:
            raise InputError(f"case {case} is none of the opened cases {self.cases}")
        return case


def open_dataset(
    root: Path | str,
    *,
    cases: Iterable[int] = (1, 2, 3, 4),
    fab: Mapping[int, ImageSet] | None = None,
    cache: Path | None = None,
    skip_bad: bool = False,
    size: Size = (72, 48),
    pairs_only: bool = False,
) -> Dataset:
    """Open a folder in the challenge's layout, or the zip file of one; check and pack every image.

    Args:
        root: the folder, or the zip file (which is read without unpacking it).
        cases: the cases to open.
        fab: for some cases, fab images to take in place of those in train/SEM.
        cache: where to keep the packed images; see `packing.cache_folder` for the default.
        skip_bad: leave bad images out and list them in ``skipped`` instead of failing.
        size: expected (rows, columns) of every image.
        pairs_only: leave the fab images alone; there need not be any.

    Raises:
        InputError: nothing is there, a case has no pairs or no fab images, a file has no partner
            or is no usable image (unless ``skip_bad``), or average_depth.csv has wrong columns.
    """
    source = layout.open_layout(root)
    cases = tuple(cases)
    own_fab = {case: images.as_fab(case) for case, images in (fab or {}).items()}
    if pairs_only:
        none = ImageSet(np.zeros((0, *size), np.uint8), _strings([]))
        own_fab = {case: none.as_fab(case) for case in cases}
    found = layout.scan(source, cases, without_fab=own_fab)
    depth_table = read_average_depth(source, found.average_depth)
    skipped = list(found.skipped)
    with _Packer(source, packing.cache_folder(source.root, size, cache), size, found) as packer:
        simulator = {case: _simulator(packer, case, found, skipped) for case in cases}
        fabs = own_fab | {case: _fab(packer, case, found, skipped) for case in found.fab}
        images, good = packer.pack("test", found.test, skipped)
    pixels, names = _keep(good, images, _strings(member.base for member in found.test))
    test = ImageSet(pixels, names)
    if not skip_bad:
        refuse(skipped)
    for case in cases:
        if not len(simulator[case]) or not (pairs_only or len(fabs[case])):
            raise InputError(f"{source.root}: case {case} has no usable images left")
    return Dataset(source.root, cases, depth_table, skipped, simulator, fabs, test)


def open_images(
    folder: Path | str,
    *,
    size: Size = (72, 48),
    skip_bad: bool = False,
    range16: tuple[float, float] | None = None,
) -> ImageSet:
    """Read the PNG and TIFF files of a folder or zip file, sorted by name.

    Args:
        folder: the folder, or a zip file; its images may lie in one top folder. Images that lie
            in several folders are taken to be the sites of these names.
        size: expected (rows, columns) of every image.
        skip_bad: leave bad images out and list them in ``skipped`` instead of failing.
        range16: the values of 16-bit images that become grey levels 0 and 255; without it
            16-bit images are refused.

    Raises:
        InputError: nothing is there, or a file is no usable image (unless ``skip_bad``).
    """
    if range16 is not None and not range16[0] < range16[1]:
        raise InputError(f"--range16 {range16[0]:g},{range16[1]:g}: the second must be larger")
    source = open_source(folder)
    files, sites = _files_and_sites(source)
    images = np.zeros((len(files), *size), np.uint8)
    problems: list[str] = []
    with (
        Decoder(Task(source.root, size, range16)) as decoder,
        progress("Reading images", len(files)) as advance,
    ):
        for chunk in decoder.decode(files):
            images[chunk.start : chunk.start + len(chunk.images)] = chunk.images
            problems += chunk.problems
            advance(len(chunk.images), "")
    skipped = _skipped(source, files, problems)
    if not skip_bad:
        refuse(skipped)
    if len(skipped) == len(files):
        raise InputError(f"{source.root}: it has no usable images; the first: {skipped[0].reason}")
    good = np.array([not problem for problem in problems])
    pixels, names = _keep(good, images, _strings(map(_name, files)))
    if sites is None:
        return ImageSet(pixels, names, skipped)
    kept = _strings(sites)[good]
    named = _strings(f"{site}/{name}" for site, name in zip(kept, names, strict=True))
    return ImageSet(pixels, named, skipped, kept)


def _files_and_sites(source: Source) -> tuple[list[File], list[str] | None]:
    """The image files of a plain folder, and the site of each where they lie in site folders."""
    folder = ""
    while True:
        if files := layout.flat_images(source, folder, IMAGES):
            return files, None
        inner = source.folders(folder)
        if len(inner) != 1:
            break
        folder = f"{folder}/{inner[0]}".lstrip("/")
    by_site = {
        site: layout.flat_images(source, f"{folder}/{site}".lstrip("/"), IMAGES) for site in inner
    }
    if not any(by_site.values()):
        raise InputError(f"{source.root}: no PNG or TIFF images lie in it")
    sites = [site for site, files in by_site.items() for _ in files]
    return [file for files in by_site.values() for file in files], sites


def refuse(skipped: Sequence[Skipped]) -> None:
    """Raise InputError for the first file that cannot be used, counting the others."""
    if skipped:
        more = f" ({len(skipped)} such files)" if len(skipped) > 1 else ""
        raise InputError(f"{skipped[0].path}: {skipped[0].reason}; {WAY_OUT}{more}")


class _Packer:
    """Packs the sets of one data set under the lock of its cache, with one progress bar."""

    def __init__(self, source: Source, folder: Path, size: Size, found: Layout) -> None:
        self.source, self.folder, self.size = source, folder, size
        self.total = found.count()
        self._decoder = Decoder(Task(source.root, size))
        self._stack = ExitStack()

    def __enter__(self) -> "_Packer":
        self._stack.enter_context(packing.locked(self.folder))
        self._advance = self._stack.enter_context(progress("Packing images", self.total))
        self._stack.enter_context(self._decoder)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def pack(
        self, name: str, members: Sequence[Member], skipped: list[Skipped]
    ) -> tuple[Gray, npt.NDArray[np.bool_]]:
        """The images of a set and which of them are usable; the others go to ``skipped``."""
        if not members:
            return np.zeros((0, *self.size), np.uint8), np.ones(0, bool)
        folder = self.folder / name
        images, problems = packing.pack(self._decoder, members, folder, self._advance)
        files = [member.file for member in members]
        skipped += _skipped(self.source, files, problems)
        return images, np.array([not problem for problem in problems])


def _simulator(packer: _Packer, case: int, found: Layout, skipped: list[Skipped]) -> SimulatorSet:
    sem, good_sem = packer.pack(f"simulator-{case}-sem", found.sem[case], skipped)
    depth, good_depth = packer.pack(f"simulator-{case}-depth", found.depth[case], skipped)
    good = good_sem.reshape(-1, 2).all(axis=1) & good_depth
    bases = _strings(member.base for member in found.depth[case])
    buckets = _strings(member.folder for member in found.depth[case])
    sem = sem.reshape(len(depth), 2, *packer.size)
    return SimulatorSet(case, *_keep(good, sem, depth, bases, buckets))


def _fab(packer: _Packer, case: int, found: Layout, skipped: list[Skipped]) -> FabSet:
    images, good = packer.pack(f"fab-{case}", found.fab[case], skipped)
    sites = _strings(member.folder for member in found.fab[case])
    names = _strings(member.base for member in found.fab[case])
    return FabSet(case, *_keep(good, images, sites, names))


def _keep(good: npt.NDArray[np.bool_], *arrays: Any) -> tuple[Any, ...]:
    """Rows that are good; without a bad one the arrays themselves, still memory-mapped."""
    return arrays if good.all() else tuple(array[good] for array in arrays)


def _skipped(source: Source, files: Sequence[File], problems: Sequence[str]) -> list[Skipped]:
    return [
        Skipped(where(source.root, file.path), problem)
        for file, problem in zip(files, problems, strict=True)
        if problem
    ]


def _strings(values: Iterable[str]) -> Names:
    return np.array(list(values), dtype=np.str_)


def _name(file: File) -> str:
    return file.path.rpartition("/")[2]
