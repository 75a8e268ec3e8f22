"""The packed cache: every image decoded once into one memory-mapped array a set.

A set (the SEM images of a case, its depth maps, a fab level, the test images) is one folder:

    <state>.npy           uint8 [files, rows, columns], in the order of the manifest
    <state>.csv           the manifest: path, bytes, stamp, SHA-256, problem and place of each file
    <state>.part.*        the same while it is being written; a killed run goes on from it

``<state>`` is a digest of all paths, sizes and stamps: a changed, added or removed file gives
another state, and only the files that are new in it are decoded. A manifest is renamed to its
final name last, so a state is either whole or not there.
"""

import csv
import fcntl
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import numpy as np
from numpy.lib.format import open_memmap

from semtf.data.decoding import CHUNK, Chunk, Decoder
from semtf.data.file_source import File
from semtf.data.images import Gray, Size
from semtf.data.layout import Member
from semtf.errors import InputError

VERSION = 1
"""Raised when the grey policy changes: what older versions packed is then decoded again."""
COLUMNS = ("row", "path", "size", "stamp", "sha256", "problem", "case", "folder", "base")
SAVED_EVERY = 16 * CHUNK

Advance = Callable[[int, str], None]


class Packed(NamedTuple):
    """The images of a set, read-only, and the problem of each (empty where there is none)."""

    images: Gray
    problems: list[str]


class Row(NamedTuple):
    """One line of a manifest: a file, what became of it, and its row in the array."""

    row: int
    path: str
    size: int
    stamp: int
    sha256: str
    problem: str

    @property
    def key(self) -> tuple[str, int, int]:
        return self.path, self.size, self.stamp


def cache_folder(root: Path, size: Size, cache: Path | None = None) -> Path:
    """Where the packed images of a data set live, one folder for each image size.

    ``cache`` itself, or ``$SEMTF_CACHE/<hash of the resolved path>``, or the same below
    ``~/.cache/semtf``. The data folder is never written to.
    """
    if cache is None:
        base = os.environ.get("SEMTF_CACHE") or "~/.cache/semtf"
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        cache = Path(base).expanduser() / name
    return cache / f"{size[0]}x{size[1]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a cache folder for one process; another one waits, then finds the work done.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise InputError(
            f"{folder}: the image cache cannot be written ({error.strerror}); "
            "set SEMTF_CACHE to a writable folder"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pack(decoder: Decoder, members: Sequence[Member], folder: Path, advance: Advance) -> Packed:
    """The images of a set, in the order of ``members``, decoded or taken from the cache.

    Args:
        decoder: what decodes them.
        members: the files of the set and what they show.
        folder: the folder of this set inside the cache; the caller holds its lock.
        advance: told of every file that is done.

    Raises:
        InputError: there is no room for the cache.
    """
    state = _state(members)
    pixels, manifest = folder / f"{state}.npy", folder / f"{state}.csv"
    if pixels.exists() and manifest.exists():
        advance(len(members), "")
        rows = list(_read(manifest))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        rows = _build(decoder, members, folder, state, advance)
    for other in folder.iterdir():
        if other not in (pixels, manifest):
            other.unlink()
    return Packed(np.load(pixels, mmap_mode="r"), [row.problem for row in rows])


def _state(members: Sequence[Member]) -> str:
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for member in members:
        file = member.file
        digest.update(os.fsencode(f"{file.path}\0{file.size}\0{file.stamp}\n"))
    return digest.hexdigest()[:16]


def _build(
    decoder: Decoder, members: Sequence[Member], folder: Path, state: str, advance: Advance
) -> list[Row]:
    pixels, journal = folder / f"{state}.part.npy", folder / f"{state}.part.csv"
    if pixels.exists() and journal.exists():
        done = {row.row: row for row in _read(journal)}
    else:
        journal.unlink(missing_ok=True)
        _allocate(pixels, (len(members), *decoder.task.size))
        done = _reuse(members, folder, pixels)
    todo = [row for row in range(len(members)) if row not in done]
    advance(len(done), "")
    with _open_csv(journal, "w") as stream:
        _write(stream, done.values(), members)
        for fresh in _decoded(decoder, members, todo, pixels, advance):
            _write(stream, fresh, members, header=False)
            done |= {row.row: row for row in fresh}
    rows = [done[row] for row in range(len(members))]
    with _open_csv(journal, "w") as stream:
        _write(stream, rows, members)
    pixels.replace(folder / f"{state}.npy")
    journal.replace(folder / f"{state}.csv")
    return rows


def _allocate(pixels: Path, shape: tuple[int, int, int]) -> None:
    """Make the array file with room granted by the disk: a map on a full disk kills its writer."""
    images = open_memmap(pixels, mode="w+", dtype=np.uint8, shape=shape)
    try:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            with pixels.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, pixels.stat().st_size)
    except OSError as error:
        pixels.unlink()
        raise InputError(
            f"{pixels.parent}: no room for the image cache, {images.nbytes} bytes "
            f"({error.strerror}); set SEMTF_CACHE to a folder with room"
        ) from error


def _put(pixels: Path, rows: Sequence[int], images: Gray) -> None:
    """Write rows of the array file; mapped anew each time, so that memory stays small."""
    open_memmap(pixels, mode="r+")[rows] = images


def _decoded(
    decoder: Decoder,
    members: Sequence[Member],
    todo: Sequence[int],
    pixels: Path,
    advance: Advance,
) -> Iterator[list[Row]]:
    """Decode the rows ``todo``; yields those whose pixels have reached the disk."""
    files = [members[row].file for row in todo]
    fresh: list[Row] = []
    for chunk in decoder.decode(files):
        places = todo[chunk.start : chunk.start + len(chunk.images)]
        _put(pixels, places, chunk.images)
        fresh += _rows(files[chunk.start :], places, chunk)
        advance(len(places), "")
        if len(fresh) >= SAVED_EVERY:
            open_memmap(pixels, mode="r+").flush()
            yield fresh
            fresh = []
    open_memmap(pixels, mode="r+").flush()
    yield fresh


def _rows(files: Sequence[File], places: Sequence[int], chunk: Chunk) -> list[Row]:
    return [
        Row(place, file.path, file.size, file.stamp, digest, problem)
        for place, file, digest, problem in zip(
            places, files, chunk.digests, chunk.problems, strict=False
        )
    ]


def _reuse(members: Sequence[Member], folder: Path, pixels: Path) -> dict[int, Row]:
    """Copy the rows of unchanged files from older states; the rows that need no decoding."""
    done: dict[int, Row] = {}
    for manifest in sorted(folder.glob("*.csv")):
        older = manifest.with_suffix(".npy")
        if not older.exists():
            continue
        known = {row.key: row for row in _read(manifest)}
        keys = {row: member.file[:3] for row, member in enumerate(members) if row not in done}
        rows = [row for row, key in keys.items() if key in known]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            old = np.load(older, mmap_mode="r")
            _put(pixels, part, old[[known[keys[row]].row for row in part]])
        done |= {row: known[keys[row]]._replace(row=row) for row in rows}
    return done


def _open_csv(path: Path, mode: Literal["r", "w"]) -> TextIO:
    return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")


def _write(
    stream: TextIO, rows: Iterable[Row], members: Sequence[Member], header: bool = True
) -> None:
    writer = csv.writer(stream)
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow((*row, *members[row.row][1:]))
    stream.flush()


def _read(manifest: Path) -> Iterator[Row]:
    """The rows of a manifest, up to a last line that a kill cut off."""
    with _open_csv(manifest, "r") as stream:
        whole = stream.read().rpartition("\n")[0]
    lines = csv.reader(io.StringIO(whole, newline=""))
    next(lines, None)
    for row, path, size, stamp, sha256, problem, *_ in lines:
        yield Row(int(row), path, int(size), int(stamp), sha256, problem)
