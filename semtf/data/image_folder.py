"""Images of a plain folder or zip file, without the challenge's layout."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from semtf.config import SHAPE
from semtf.data import layout
from semtf.data.decoding import Decoder, Task
from semtf.data.file_source import File, Source, open_source, read_file
from semtf.data.image_file import image_size
from semtf.data.image_sets import ImageSet, name_array, selected
from semtf.data.images import BadImageError, Size
from semtf.data.skipped import refuse, skipped_files
from semtf.errors import InputError
from semtf.progress import progress

IMAGES = (".png", ".tif", ".tiff")
"""Endings of the files that are read as images."""


def open_images(
    folder: Path | str,
    *,
    size: Size | None = None,
    skip_bad: bool = False,
    range16: tuple[float, float] | None = None,
) -> ImageSet:
    """Read the PNG and TIFF files of a folder or zip file, sorted by name.

    Args:
        folder: the folder, or a zip file; its images may lie in one top folder. Images that lie
            in several folders are taken to be the sites of these names.
        size: expected (rows, columns) of every image; where None, the first image's.
        skip_bad: leave bad images out and list them in ``skipped`` instead of failing.
        range16: the values of 16-bit images that become grey levels 0 and 255; without it
            16-bit images are refused.

    Raises:
        InputError: the folder is missing or has no images, or a file is no usable image (unless
            ``skip_bad``).
    """
    if range16 is not None and not range16[0] < range16[1]:
        raise InputError(f"--range16 {range16[0]:g},{range16[1]:g}: the second must be larger")
    source = open_source(folder)
    files, sites = _files_and_sites(source)
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
    file_names = name_array(file.path.rpartition("/")[2] for file in files)
    pixels, names = selected(usable, images, file_names)
    if sites is None:
        return ImageSet(pixels, names, skipped)
    usable_sites = name_array(sites)[usable]
    pairs = zip(usable_sites, names, strict=True)
    names = name_array(f"{site}/{name}" for site, name in pairs)
    return ImageSet(pixels, names, skipped, usable_sites)


def image_files(folder: Path | str) -> list[Path]:
    """The files that `open_images` reads: those of a folder, or the zip file itself."""
    source = open_source(folder)
    if not source.root.is_dir():
        return [source.root]
    return [source.root / file.path for file in _files_and_sites(source)[0]]


def first_image_size(source: Source, folder: str) -> Size:
    """The size of the first image below a folder of a source; the usual size where none has one."""
    return _first_size(source, [f for f in source.files(folder) if f.path.lower().endswith(IMAGES)])


def _first_size(source: Source, files: Sequence[File]) -> Size:
    """The size of the first image that has one; the usual size where none has."""
    for file in files:
        with suppress(BadImageError, OSError):
            return image_size(read_file(source.root, file))
    return SHAPE


def _files_and_sites(source: Source) -> tuple[list[File], list[str] | None]:
    """The image files of a plain folder, and the site of each where they lie in site folders."""
    folder = ""
    while True:
        if files := layout.flat_images(source, folder, IMAGES):
            return files, None
        subfolders = source.folders(folder)
        if len(subfolders) != 1:
            break
        folder = f"{folder}/{subfolders[0]}".lstrip("/")
    by_site = {
        site: layout.flat_images(source, f"{folder}/{site}".lstrip("/"), IMAGES)
        for site in subfolders
    }
    if not any(by_site.values()):
        raise InputError(f"{source.root}: no PNG or TIFF images lie in it")
    sites = [site for site, files in by_site.items() for _ in files]
    return [file for files in by_site.values() for file in files], sites
