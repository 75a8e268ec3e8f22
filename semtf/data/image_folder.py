"""Images of a plain folder or zip file, without the challenge's layout."""

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from semtf.config import SHAPE
from semtf.data.decoding import Decoder, Task
from semtf.data.endings import split_images, warn_passed_over
from semtf.data.file_source import File, Source, open_source, read_file
from semtf.data.image_file import image_size
from semtf.data.image_sets import ImageSet, name_array, selected
from semtf.data.images import BadImageError, Size, check_range16
from semtf.data.skipped import refuse, skipped_files
from semtf.errors import InputError
from semtf.progress import progress


def open_images(
    folder: Path | str,
    *,
    size: Size | None = None,
    skip_bad: bool = False,
    range16: tuple[float, float] | None = None,
) -> ImageSet:
    """Read the PNG and TIFF files of a folder or zip file, sorted by name.

    Args:
        folder: the folder, or a zip file; its images may lie in one top folder, at any depth.
            Images that lie in several folders are taken to be the sites of these names.
        size: expected (rows, columns) of every image; where None, the first image's.
        skip_bad: leave bad images out and list them in ``skipped`` instead of failing.
        range16: the values of 16-bit images that become grey levels 0 and 255; without it
            16-bit images are refused.

    Raises:
        InputError: the folder is missing or has no images, or a file is no usable image (unless
            ``skip_bad``).
    """
    check_range16(range16)
    source = open_source(folder)
    listing = image_listing(source.root, source.files())
    files, sites = listing.files, listing.sites
    size = _first_size(source, files) if size is None else size
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
    skipped = skipped_files(source, files, problems)
    if not skip_bad:
        refuse(skipped)
    if len(skipped) == len(files):
        raise InputError(f"{source.root}: it has no usable images; the first: {skipped[0].reason}")
    usable = np.array([not problem for problem in problems])
    pixels, names = selected(usable, images, name_array(listing.names))
    usable_sites = None if sites is None else name_array(sites)[usable]
    return ImageSet(pixels, names, skipped, usable_sites)


def image_files(folder: Path | str) -> list[Path]:
    """The files that `open_images` reads: those of a folder, or the zip file itself."""
    source = open_source(folder)
    if not source.root.is_dir():
        return [source.root]
    files = image_listing(source.root, source.files(), quiet=True).files
    return [source.root / file.path for file in files]


def first_image_size(source: Source, folder: str) -> Size:
    """The size of the first image below a folder of a source; the usual size where none has one."""
    images, _ = split_images(source.files(folder))
    return _first_size(source, images)


def _first_size(source: Source, files: Sequence[File]) -> Size:
    """The size of the first image that has one; the usual size where none has."""
    for file in files:
        with suppress(BadImageError, OSError):
            return image_size(read_file(source.root, file))
    return SHAPE


class ImageListing(NamedTuple):
    """The images of a plain folder, and their sites where they lie in site folders."""

    files: list[File]
    sites: list[str] | None

    @property
    def names(self) -> list[str]:
        """The file names, ``site/name`` where the images lie in site folders."""
        names = [file.path.rpartition("/")[2] for file in self.files]
        if self.sites is None:
            return names
        return [f"{site}/{name}" for site, name in zip(self.sites, names, strict=True)]


def image_listing(root: Path | str, found: Sequence[File], quiet: bool = False) -> ImageListing:
    """The image files among those of a plain folder, and the site of each in site folders.

    A site is a folder with images, at any depth. Where images lie beside folders, the folders are
    passed over, which is told unless ``quiet``.

    Args:
        root: the folder, for messages.
        found: its files.
        quiet: say nothing of the pictures that are passed over.

    Raises:
        InputError: there are no images.
    """
    files, unread = split_images(found)
    archives = [file for file in found if file.path.lower().endswith(".zip")]
    if not files:
        kinds = sorted({PurePosixPath(file.path).suffix for file in unread})
        instead = f", but {', '.join(kinds)}; save them as PNG" if kinds else ""
        if archives:
            instead += f", but the zip file {archives[0].path}; unpack it, or name it"
        raise InputError(f"{root}: no PNG or TIFF images lie in it{instead}")
    for file in files:
        if not _is_text(file.path):
            raise InputError(f"{root}: the name {file.path!r} is no text in UTF-8; rename the file")
    folders = [file.path.rpartition("/")[0] for file in files]
    top = os.path.commonpath([f"/{folder}" for folder in folders])[1:]
    inside = [folder == top for folder in folders]
    beside = [] if top not in folders else list(compress(files, [not here for here in inside]))
    if not quiet:
        warn_passed_over(root, unread, "only PNG and TIFF files are read")
        warn_passed_over(root, archives, "no zip file among images is read")
        warn_passed_over(root, beside, "they lie in folders beside other images")
    if top not in folders:
        start = len(top) + 1 if top else 0
        return ImageListing(files, [folder[start:] for folder in folders])
    return ImageListing(list(compress(files, inside)), None)


def _is_text(name: str) -> bool:
    """Whether a name is what it seems: a file system may hold bytes that are no text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
