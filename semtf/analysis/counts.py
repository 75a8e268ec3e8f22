"""What there is: pairs, sites, colour, duplicates, files that belong to nothing."""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.data.dataset import Dataset
from semtf.data.file_source import File, Source, is_stray, read_file
from semtf.data.layout import open_layout, scan
from semtf.data.png import HEADER_END, RGB, SIGNATURE
from semtf.data.sampling import spread

COLOUR_FILES = 1000
COLOUR_TYPE = 25
"""Position of the colour type in a PNG file."""


@dataclass(frozen=True)
class Counts:
    """The images of one case.

    Attributes:
        pairs: holes with two simulator images and a depth map.
        fab: images of the fab.
        sites: of the fab.
        site_images: smallest, median and largest number of images of a site.
        averages: sites whose average depth is given.
        rgb: share of the fab's files that are RGB with equal channels (of up to 1,000 files); None
            where the images are no PNG files of the data set.
        duplicate_pairs: simulator images with the pixels of another one of the case.
        duplicate_fab: fab images with the pixels of another one of the case.
    """

    pairs: int
    fab: int
    sites: int
    site_images: tuple[int, float, int]
    averages: int
    rgb: float | None
    duplicate_pairs: int
    duplicate_fab: int


@dataclass(frozen=True)
class Files:
    """The data set as a whole.

    Attributes:
        rows: of an image.
        columns: of an image.
        recurring: share of the simulator's holes that recur in all cases.
        test: test images.
        left_out: files that cannot be used, or lie where the layout has none.
        stray: files that file managers and notebooks left behind; they are ignored.
        shared: fab images with the pixels of an image of another case.
    """

    rows: int
    columns: int
    recurring: float
    test: int
    left_out: int
    stray: int
    shared: int


def count_case(dataset: Dataset, case: int, colour: float | None) -> Counts:
    """Count the images of a case; ``colour`` is its share of RGB files."""
    simulator, fab = dataset.simulator(case), dataset.fab(case)
    _, images = np.unique(fab.sites, return_counts=True)
    return Counts(
        pairs=len(simulator),
        fab=len(fab),
        sites=len(images),
        site_images=(int(images.min()), float(np.median(images)), int(images.max())),
        averages=int((dataset.average_depth["case"] == case).sum()),
        rgb=colour,
        duplicate_pairs=_duplicates(digests(simulator.sem.reshape(-1, *simulator.sem.shape[2:]))),
        duplicate_fab=_duplicates(digests(fab.images)),
    )


def count_files(dataset: Dataset) -> Files:
    """Count what belongs to no case, or to several."""
    holes = [set(dataset.simulator(case).bases.tolist()) for case in dataset.cases]
    everywhere = len(set.intersection(*holes))
    fabs = [set(digests(dataset.fab(case).images)) for case in dataset.cases]
    rows, columns = dataset.shape
    return Files(
        rows=rows,
        columns=columns,
        recurring=everywhere / max(map(len, holes)),
        test=dataset.test_count,
        left_out=len(dataset.skipped),
        stray=count_stray(dataset.root) if dataset.on_disk else 0,
        shared=sum(map(len, fabs)) - len(set.union(*fabs)),
    )


def rgb_shares(dataset: Dataset, without: Iterable[int] = ()) -> dict[int, float]:
    """By case, the share of RGB among its PNG files; those in ``without`` are not asked."""
    if not dataset.on_disk:
        return {}
    source = open_layout(dataset.root)
    without = set(without)
    cases = [dataset.case(number) for number in dataset.cases]
    listing = scan(source, cases, without_fab=without)
    return {
        case: _rgb_share(source, [member.file for member in members])
        for case, members in listing.fab.items()
    }


def _rgb_share(source: Source, files: Sequence[File]) -> float:
    colours = []
    for i in spread(len(files), COLOUR_FILES):
        with suppress(OSError):
            data = read_file(source.root, files[i])
            if data.startswith(SIGNATURE) and len(data) >= HEADER_END:
                colours.append(data[COLOUR_TYPE] == RGB)
    return float(np.mean(colours)) if colours else 0.0


def count_stray(root: Path) -> int:
    """The files that are ignored because of their names: checkpoints, thumbnails, hidden ones."""
    if root.is_dir():
        paths = (
            os.path.relpath(Path(folder) / file, root).replace(os.sep, "/")
            for folder, _, files in os.walk(root)
            for file in files
        )
        return sum(map(is_stray, paths))
    with zipfile.ZipFile(root) as archive:
        names = (member.filename for member in archive.infolist() if not member.is_dir())
        return sum(map(is_stray, names))


def digests(images: npt.NDArray[np.uint8]) -> list[bytes]:
    """A digest of the pixels of each image."""
    return [hashlib.blake2b(image.tobytes(), digest_size=12).digest() for image in images]


def _duplicates(found: list[bytes]) -> int:
    return len(found) - len(set(found))
