"""A data set in the challenge's layout, packed and ready to draw from."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semtf.cases import CHALLENGE, Case, Cases, case_numbers, find_case
from semtf.config import SHAPE
from semtf.data import layout, packing
from semtf.data.average_depth import read_average_depth
from semtf.data.decoding import Decoder, Task
from semtf.data.file_source import Source
from semtf.data.image_sets import FabSet, ImageSet, SimulatorSet, name_array, selected
from semtf.data.images import Gray, Size
from semtf.data.layout import Layout, Member
from semtf.data.skipped import Skipped, refuse, skipped_files
from semtf.disk import require_room
from semtf.errors import InputError
from semtf.progress import progress

if TYPE_CHECKING:
    import pandas as pd


IN_MEMORY = Path("arrays")
"""Stands for the folder of a data set that was made of arrays."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set: made by `open_dataset` from files, or by `Dataset.from_arrays`.

    Attributes:
        root: the folder or zip file.
        table: all cases of the data set.
        cases: the numbers of those that were opened.
        average_depth: the table of `read_average_depth`.
        skipped: files that were left out.
    """

    root: Path
    table: Cases
    cases: tuple[int, ...]
    average_depth: "pd.DataFrame"
    skipped: list[Skipped]
    _simulator: dict[int, SimulatorSet]
    _fab: dict[int, FabSet]
    _test: ImageSet

    @classmethod
    def from_arrays(
        cls,
        sem: Mapping[int, npt.ArrayLike],
        depth: Mapping[int, npt.ArrayLike],
        fab: Mapping[int, npt.ArrayLike],
        *,
        bases: Mapping[int, Sequence[str]] | None = None,
        sites: Mapping[int, Sequence[str]] | None = None,
        average_depth: Mapping[int, Mapping[str, float]] | None = None,
        test: npt.ArrayLike | None = None,
        cases: Cases | None = None,
    ) -> "Dataset":
        """A data set of arrays in memory; `semtf.train` and `semtf.analyze` take it.

        Args:
            sem: by case, the simulator's images: uint8 ``[n, 2, rows, columns]`` (both exposures),
                or ``[n, rows, columns]`` where there is one.
            depth: by case, their depth maps, uint8 ``[n, rows, columns]``.
            fab: by case, the fab's images, uint8 ``[m, rows, columns]``.
            bases: by case, the hole of each pair; the same names in all cases where None.
            sites: by case, the site of each fab image; each image is its own where None.
            average_depth: by case, the average depth of sites by name.
            test: test images, uint8 ``[t, rows, columns]``.
            cases: the table of cases; the challenge's where None.

        Raises:
            InputError: an array has another type or shape, lengths differ, or a case is missing.
        """
        from semtf.data.arrays import dataset_of_arrays

        return dataset_of_arrays(
            sem,
            depth,
            fab,
            bases,
            sites,
            average_depth,
            test,
            CHALLENGE if cases is None else cases,
        )

    def with_cases(self, cases: Iterable[int]) -> "Dataset":
        """This data set with some of its cases; raises InputError where it lacks one."""
        return dataclasses.replace(self, cases=tuple(map(self._checked, cases)))

    def __repr__(self) -> str:
        pairs = sum(len(self.simulator(case)) for case in self.cases)
        fab = sum(len(self.fab(case)) for case in self.cases)
        cases = ", ".join(map(str, self.cases))
        return f"Dataset({str(self.root)!r}, cases {cases}: {pairs} pairs, {fab} fab images)"

    def case(self, number: int) -> Case:
        """The plate level and folders of a case; raises InputError where it was not opened."""
        return find_case(self.table, self._checked(number))

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
        depth_by_site = dict(zip(table["site"], table["depth"], strict=True))
        sites = self.fab(case).sites
        return np.array([depth_by_site.get(str(site), np.nan) for site in sites], np.float64)

    @property
    def shape(self) -> Size:
        """Rows and columns of an image."""
        rows, columns = self._simulator[self.cases[0]].depth.shape[1:]
        return rows, columns

    @property
    def on_disk(self) -> bool:
        """Whether the data set is a folder or zip file, and not made of arrays."""
        return self.root != IN_MEMORY

    @property
    def test_count(self) -> int:
        """The number of test images; there may be none."""
        return len(self._test)

    def test(self) -> ImageSet:
        """The test images; raises InputError where there are none."""
        if not len(self._test):
            raise InputError(f"{self.root}: there are no images in test/SEM")
        return self._test

    def _checked(self, case: int) -> int:
        if case not in self.cases:
            raise InputError(f"case {case!r} is none of the opened cases {self.cases}")
        return case


def open_dataset(
    root: Path | str,
    *,
    cases: Iterable[int] | None = None,
    fab: Mapping[int, ImageSet] | None = None,
    cache: Path | None = None,
    skip_bad: bool = False,
    size: Size = SHAPE,
    pairs_only: bool = False,
) -> Dataset:
    """Open a folder in the challenge's layout, or the zip file of one; check and pack every image.

    Args:
        root: the folder, or the zip file (which is read without unpacking it).
        cases: the numbers of the cases to open; all of them where None.
        fab: for some cases, fab images to take in place of those in train/SEM.
        cache: where to keep the packed images; see `packing.cache_folder` for the default.
        skip_bad: leave bad images out and list them in ``skipped`` instead of failing.
        size: expected (rows, columns) of every image.
        pairs_only: leave the fab images alone; there need not be any.

    Raises:
        InputError: the folder or zip file is missing, a case has no pairs or no fab images, a file
            has no partner or is no usable image (unless ``skip_bad``), or average_depth.csv has
            wrong columns.
    """
    source = layout.open_layout(root)
    table = layout.find_cases(source)
    cases = case_numbers(table) if cases is None else tuple(cases)
    given_fabs = {
        find_case(table, case).case: images.as_fab(case) for case, images in (fab or {}).items()
    }
    if pairs_only:
        none = ImageSet(np.zeros((0, *size), np.uint8), name_array([]))
        given_fabs = {case: none.as_fab(case) for case in cases}
    wanted = [find_case(table, case) for case in cases]
    listing = layout.scan(source, wanted, without_fab=given_fabs)
    layout.warn_of_folders(source, table, listing.prefix)
    depth_table = read_average_depth(source, listing.average_depth, table)
    skipped = list(listing.skipped)
    folder = packing.cache_folder(source.root, size, cache)
    if not folder.exists():
        require_room(folder, listing.count() * size[0] * size[1], "the image cache (SEMTF_CACHE)")
    with _Packer(source, folder, size, listing.count()) as packer:
        simulator = {case: _simulator_set(packer, case, listing, skipped) for case in cases}
        fabs = {case: _fab_set(packer, case, listing, skipped) for case in listing.fab}
        images, usable = packer.pack("test", listing.test, skipped)
    test_names = name_array(member.base for member in listing.test)
    test = ImageSet(*selected(usable, images, test_names))
    if not skip_bad:
        refuse(skipped)
    fabs = given_fabs | fabs
    for case in cases:
        if not len(simulator[case]) or not (pairs_only or len(fabs[case])):
            raise InputError(f"{source.root}: case {case} has no usable images left")
    return Dataset(source.root, table, cases, depth_table, skipped, simulator, fabs, test)


class _Packer:
    """Packs the sets of one data set under the lock of its cache, with one progress bar."""

    def __init__(self, source: Source, folder: Path, size: Size, total: int) -> None:
        self.source, self.folder, self.size = source, folder, size
        self.total = total
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
        skipped += skipped_files(self.source, files, problems)
        return images, np.array([not problem for problem in problems])


def _simulator_set(
    packer: _Packer, case: int, listing: Layout, skipped: list[Skipped]
) -> SimulatorSet:
    sem, usable_sem = packer.pack(f"simulator-{case}-sem", listing.sem[case], skipped)
    depth, usable_depth = packer.pack(f"simulator-{case}-depth", listing.depth[case], skipped)
    usable = usable_sem.reshape(-1, 2).all(axis=1) & usable_depth
    bases = name_array(member.base for member in listing.depth[case])
    buckets = name_array(member.folder for member in listing.depth[case])
    sem = sem.reshape(len(depth), 2, *packer.size)
    return SimulatorSet(case, *selected(usable, sem, depth, bases, buckets))


def _fab_set(packer: _Packer, case: int, listing: Layout, skipped: list[Skipped]) -> FabSet:
    images, usable = packer.pack(f"fab-{case}", listing.fab[case], skipped)
    sites = name_array(member.folder for member in listing.fab[case])
    names = name_array(member.base for member in listing.fab[case])
    return FabSet(case, *selected(usable, images, sites, names))
