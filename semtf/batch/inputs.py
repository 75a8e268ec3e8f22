"""The input of a batch: a pattern, folder, zip, Parquet or TFRecord, listed in a fixed order."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow import fs

from semtf.batch.location import Location
from semtf.batch.parts import (
    FilePart,
    ParquetPart,
    Part,
    RecordPart,
    RemotePart,
    parquet_names,
    read_records,
)
from semtf.data.file_source import File, FolderSource, open_source
from semtf.data.image_folder import ImageListing, image_listing
from semtf.data.names import check_unique
from semtf.errors import InputError

PARQUET = (".parquet",)
RECORDS = (".tfrecord", ".tfrecords")
WILDCARDS = "*?["


@dataclass(frozen=True)
class Listing:
    """All images of an input.

    Attributes:
        parts: where they lie.
        sites: the site of each, where they lie in site folders.
        digest: of the names, sizes and stamps of the files: it tells one input from another.
    """

    parts: Sequence[Part]
    sites: Sequence[str] | None
    digest: str

    def __len__(self) -> int:
        return sum(len(part.names) for part in self.parts)

    @property
    def names(self) -> list[str]:
        """The names of all images, in order."""
        return [name for part in self.parts for name in part.names]

    def cut(self, start: int, stop: int) -> list[Part]:
        """The parts of the images from ``start`` to ``stop``."""
        found, row = [], 0
        for part in self.parts:
            low, high = max(start - row, 0), min(stop - row, len(part.names))
            if low < high:
                found.append(part.cut(low, high))
            row += len(part.names)
        return found


def list_images(images: str) -> Listing:
    """List an input: files by their sorted names, rows and examples as they stand in their files.

    Args:
        images: a folder, zip, Parquet or TFRecord file, or a pattern of files; on a disk that
            all workers see, or, but for zip and TFRecord files, a URL of pyarrow or fsspec.

    Raises:
        InputError: nothing is there, the files are of several kinds, or a name is given twice.
    """
    location = Location.of(images)
    kind = location.kind
    if kind == fs.FileType.File and location.path.lower().endswith(".zip"):
        listing = _zip(location)
    elif kind == fs.FileType.File:
        folder, _, name = location.path.rpartition("/")
        info = location.system.get_file_info(location.path)
        file = File(name, info.size or 0, info.mtime_ns or 0)
        listing = _of_files(Location(location.system, folder, _parent(images)), [file])
    elif kind == fs.FileType.Directory:
        listing = _of_files(location, _files(location))
    else:
        listing = _pattern(location)
    if not len(listing):
        raise InputError(f"{images}: no images lie in it")
    check_unique(listing.names)
    return listing


def _files(folder: Location) -> list[File]:
    """The files of a folder; on a disk their stamps tell of every change."""
    return FolderSource(Path(folder.path)).files() if folder.is_local else folder.files()


def _parent(text: str) -> str:
    return text.rpartition("/")[0] or "."


def _zip(location: Location) -> Listing:
    if not location.is_local:
        raise InputError(f"{location.text}: zip files are read from disks; copy it to one")
    return _of_images(location, open_source(location.path).files())


def _pattern(location: Location) -> Listing:
    """The files that a pattern matches, relative to the folder before its first wildcard."""
    if not any(mark in location.path for mark in WILDCARDS):
        raise InputError(f"{location.text}: nothing is there")
    whole = PurePosixPath(location.path).parts
    fixed = next(i for i, part in enumerate(whole) if any(mark in part for mark in WILDCARDS))
    root = Location(location.system, str(PurePosixPath(*whole[:fixed])), location.text)
    if root.kind != fs.FileType.Directory:
        raise InputError(f"{location.text}: nothing is there, there is no folder {root.path}")
    below = str(PurePosixPath(*whole[fixed:]))
    if location.is_local:
        matches = {path.as_posix() for path in Path(root.path).glob(below)}
        found = [file for file in _files(root) if f"{root.path}/{file.path}" in matches]
    else:
        found = [file for file in _files(root) if PurePosixPath(file.path).match(below)]
    if not found:
        raise InputError(f"{location.text}: no file matches")
    return _of_files(root, found)


def _of_files(folder: Location, found: Sequence[File]) -> Listing:
    """The listing of files of one kind."""
    tables = [file for file in found if file.path.lower().endswith(PARQUET)]
    records = [file for file in found if file.path.lower().endswith(RECORDS)]
    if tables and records:
        raise InputError(f"{folder.text}: holds Parquet and TFRecord files; name one kind")
    if not tables and not records:
        return _of_images(folder, found)
    if len(tables or records) != len(found):
        other = next(file for file in found if file not in (tables or records))
        raise InputError(
            f"{folder.text}: {other.path} lies beside {(tables or records)[0].path}; name the "
            "files of one kind with a pattern"
        )
    parts = list(_tables(folder, tables) if tables else _records(folder, records))
    return Listing(parts, None, _digest(found))


def _tables(folder: Location, files: Sequence[File]) -> Iterator[Part]:
    for file in files:
        location = folder.inside(file.path)
        yield ParquetPart(parquet_names(location), 0, location)


def _records(folder: Location, files: Sequence[File]) -> Iterator[Part]:
    if not folder.is_local:
        raise InputError(f"{folder.text}: TFRecord files are read from disks; copy them to one")
    for file in files:
        path = Path(folder.path) / file.path
        yield RecordPart([name for name, _ in read_records(path)], 0, path)


def _of_images(root: Location, found: Sequence[File]) -> Listing:
    listing = _sites_together(image_listing(root.text, found))
    part: Part
    if root.is_local:
        part = FilePart(listing.names, listing.files, Path(root.path))
    else:
        part = RemotePart(listing.names, listing.files, root)
    return Listing([part], listing.sites, _digest(listing.files))


def _sites_together(listing: ImageListing) -> ImageListing:
    """The listing with the images of each site side by side; sites may lie in one another."""
    if listing.sites is None:
        return listing
    order = sorted(range(len(listing.files)), key=listing.sites.__getitem__)
    return ImageListing([listing.files[i] for i in order], [listing.sites[i] for i in order])


def _digest(files: Sequence[File]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(
            f"{file.path}\0{file.size}\0{file.stamp}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()
