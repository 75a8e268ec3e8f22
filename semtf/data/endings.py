"""The endings of image files: which are read, and which are told of when they are passed over."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from semtf.data.file_source import File
from semtf.progress import warn

PNG = (".png",)
IMAGES = (*PNG, ".tif", ".tiff")
"""Endings of the files that are read as images."""
PICTURES = (
    *IMAGES,
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".bmp", ".dib", ".gif", ".webp"),
    *(".pgm", ".pnm", ".ppm", ".heic", ".dm3", ".dm4"),
)
"""Endings of files that hold pictures, whether semtf reads them or not."""
NAMED = 3


def split_images(
    files: Iterable[File], endings: Sequence[str] = IMAGES
) -> tuple[list[File], list[File]]:
    """The files with these endings, and those that hold pictures but have another."""
    images, others = [], []
    for file in files:
        name = file.path.lower()
        if name.endswith(tuple(endings)):
            images.append(file)
        elif name.endswith(PICTURES):
            others.append(file)
    return images, others


def without_ending(name: str) -> str:
    """The name of an image: the path of its file without the ending of a picture.

    Other endings are parts of names: ``wafer.7`` and ``wafer.7.png`` are one image.
    """
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in PICTURES else str(path)


def warn_passed_over(root: Path | str, files: Sequence[File], reason: str) -> None:
    """Say which pictures are passed over and why: how many, of which endings, the first ones."""
    if not files:
        return
    counts = Counter(PurePosixPath(file.path).suffix.lower() for file in files)
    kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    names = ", ".join(file.path for file in files[:NAMED])
    more = ", ..." if len(files) > NAMED else ""
    warn(f"{root}: passed over {kinds} ({reason}): {names}{more}")
