"""The packed cache: every image decoded once into one memory-mapped array a set.

A set (the SEM images of a case, its depth maps, a fab level, the test images) is one folder:

    <state>.npy           uint8 [files, rows, columns], in the order of the manifest
    <state>.csv           the manifest: what `Row` and `Member` hold, one line a file
    <state>.part.*        the same while it is being written; a killed run goes on from it

``<state>`` is a digest of all paths, sizes and stamps: a changed, added or removed file gives
another state, and only the files that are new in it are decoded. A manifest is renamed to its
final name last, so a state is either whole or not there.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap

from semtf.data.decoding import CHUNK, UNREAD, Chunk, Decoder
from semtf.data.file_source import File
from semtf.data.images import Gray, Size
from semtf.data.layout import Member
from semtf.errors import InputError
from semtf.progress import warn

VERSION = 2
"""Raised when the grey policy changes: what older versions packed is then decoded again."""
COLUMNS = ("row", "path", "size", "stamp", "sha256", "problem", "case", "folder", "base")
SAVED_EVERY = 16 * CHUNK
STATE_FILE = re.compile(r"[0-9a-f]{16}(\.part)?\.(npy|csv)")

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

    @property
    def may_pass(self) -> bool:
        """Whether the file could not be read, which is tried again."""
        return self.problem.startswith(UNREAD)


def cache_root() -> Path:
    """The folder of all packed images: ``$SEMTF_CACHE`` or ``~/.cache/semtf``."""
    return Path(os.environ.get("SEMTF_CACHE") or "~/.cache/semtf").expanduser()


def cache_folder(root: Path, size: Size, cache: Path | None = None) -> Path:
    """The folder of the packed images of a data set, one for each image size.

    ``cache`` itself, or ``$SEMTF_CACHE/<hash of the resolved path>``, or the same below
    ``~/.cache/semtf``. The data folder is never written to.
    """
    if cache is None:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        cache = cache_root() / name
    return cache / f"{size[0]}x{size[1]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a cache folder for one process; another one warns, waits, and finds the work done.

    The lock is the operating system's, so a process that dies gives it back.

    Raises:
        InputError: the folder cannot be written.
    """
    lock = FileLock(folder / "lock", is_singleton=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            warn(f"{folder}: waiting for another process that packs the same images")
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"{folder}: the image cache cannot be written ({error.strerror or error}); "
            "set SEMTF_CACHE to a writable folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def pack(decoder: Decoder, members: Sequence[Member], folder: Path, advance: Advance) -> Packed:
    """The images of a set, in the order of ``members``, decoded or taken from the cache.

    Args:
        decoder: what decodes them.
        members: the files of the set and what they show.
        folder: the folder of this set inside the cache; the caller holds its lock.
        advance: called with the number of files that are done.

    Raises:
        InputError: there is no room for the cache.
    """
    state = _state(members)
    pixels, manifest = folder / f"{state}.npy", folder / f"{state}.csv"
    if pixels.exists() and manifest.exists():
        rows = _read_again(decoder, members, list(_read(manifest)), pixels, advance)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        rows = _build(decoder, members, folder, state, advance)
    for other in _states(folder):
        if other not in (pixels, manifest):
            other.unlink()
    return Packed(np.load(pixels, mmap_mode="r"), [row.problem for row in rows])


def _state(members: Sequence[Member]) -> str:
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for member in members:
        file = member.file
        digest.update(os.fsencode(f"{file.path}\0{file.size}\0{file.stamp}\n"))
    return digest.hexdigest()[:16]


def _states(folder: Path) -> list[Path]:
    """The files of this and older states; what else lies there is not the cache's."""
    return sorted(path for path in folder.iterdir() if STATE_FILE.fullmatch(path.name))


def _build(
    decoder: Decoder, members: Sequence[Member], folder: Path, state: str, advance: Advance
) -> list[Row]:
    pixels, journal = folder / f"{state}.part.npy", folder / f"{state}.part.csv"
    if pixels.exists() and journal.exists():
        done = {row.row: row for row in _read(journal) if not row.may_pass}
    else:
        journal.unlink(missing_ok=True)
        _allocate(pixels, (len(members), *decoder.task.size))
        done = _reuse(members, folder, pixels)
    todo = [row for row in range(len(members)) if row not in done]
    advance(len(done), "")
    with _open_csv(journal, "w") as stream:
        _write(stream, done.values(), members)
        for rows in _decoded(decoder, members, todo, pixels, advance):
            _write(stream, rows, members, header=False)
            done |= {row.row: row for row in rows}
    rows = [done[row] for row in range(len(members))]
    with _open_csv(journal, "w") as stream:
        _write(stream, rows, members)
    pixels.replace(folder / f"{state}.npy")
    journal.replace(folder / f"{state}.csv")
    return rows


def _read_again(
    decoder: Decoder, members: Sequence[Member], rows: list[Row], pixels: Path, advance: Advance
) -> list[Row]:
    """The rows of a whole state, with another try of those that could not be read.

    A kill leaves the manifest as it was, so they are tried once more.
    """
    todo = [row.row for row in rows if row.may_pass]
    advance(len(members) - len(todo), "")
    if not todo:
        return rows
    manifest = pixels.with_suffix(".csv")
    for found in _decoded(decoder, members, todo, pixels, advance):
        for row in found:
            rows[row.row] = row
    partial = manifest.with_name(f"{pixels.stem}.part.csv")
    with _open_csv(partial, "w") as stream:
        _write(stream, rows, members)
    partial.replace(manifest)
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
    unsaved: list[Row] = []
    for chunk in decoder.decode(files):
        indices = todo[chunk.start : chunk.start + len(chunk.images)]
        _put(pixels, indices, chunk.images)
        unsaved += _rows(files[chunk.start :], indices, chunk)
        advance(len(indices), "")
        if len(unsaved) >= SAVED_EVERY:
            open_memmap(pixels, mode="r+").flush()
            yield unsaved
            unsaved = []
    open_memmap(pixels, mode="r+").flush()
    yield unsaved


def _rows(files: Sequence[File], indices: Sequence[int], chunk: Chunk) -> list[Row]:
    return [
        Row(index, file.path, file.size, file.stamp, digest, problem)
        for index, file, digest, problem in zip(
            indices, files, chunk.digests, chunk.problems, strict=False
        )
    ]


def _reuse(members: Sequence[Member], folder: Path, pixels: Path) -> dict[int, Row]:
    """Copy unchanged files from older states; returns their rows, which need no decoding."""
    done: dict[int, Row] = {}
    for manifest in _states(folder):
        older = manifest.with_suffix(".npy")
        if manifest == older or not older.exists():
            continue
        older_rows = {row.key: row for row in _read(manifest) if not row.may_pass}
        keys = {row: member.file[:3] for row, member in enumerate(members) if row not in done}
        rows = [row for row, key in keys.items() if key in older_rows]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            old = np.load(older, mmap_mode="r")
            _put(pixels, part, old[[older_rows[keys[row]].row for row in part]])
        done |= {row: older_rows[keys[row]]._replace(row=row) for row in rows}
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
