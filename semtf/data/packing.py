"""The packed cache: every image decoded once into one memory-mapped array a set.

A set (the SEM images of a case, its depth maps, a fab level, the test images) is one folder:

    <state>.npy           uint8 [files, rows, columns], in the order of the manifest
    <state>.csv           the manifest: path, bytes, stamp, SHA-256, problem of every file
    <state>.part.*        the same while it is being written; a killed run goes on from it

``<state>`` is a digest of all paths, sizes and stamps: a changed, added or removed file gives
another state, and only the files that are new in it are decoded. A manifest is renamed to its
final name last, so a state is either whole or not there.
"""

import csv
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semtf.data.decoding import CHUNK, decode_files
from semtf.data.images import Gray, Size
from semtf.data.source import File, Source
from semtf.errors import InputError

COLUMNS = ("path", "size", "stamp", "sha256", "problem")


class Packed(NamedTuple):
    """The images of a set, read-only, and the problem of each (empty where there is none)."""

    images: Gray
    problems: list[str]


class Row(NamedTuple):
    """One line of a manifest and the array row it belongs to."""

    file: File
    sha256: str
    problem: str
    row: int


def cache_folder(root: Path, size: Size, cache: Path | None = None) -> Path:
    """Where the packed images of a data set live.

    ``cache`` itself, or ``$SEMTF_CACHE/<hash of the resolved path>``, or the same below
    ``~/.cache/semtf``; in it one folder for each image size.
    """
    if cache is None:
        base = os.environ.get("SEMTF_CACHE") or "~/.cache/semtf"
        name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        cache = Path(base).expanduser() / name
    return cache / f"{size[0]}x{size[1]}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a cache folder for one process; another one waits, then finds the work done."""
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


def pack(
    source: Source,
    files: Sequence[File],
    folder: Path,
    size: Size,
    advance: Callable[[int, str], None],
) -> Packed:
    """The images of ``files``, in their order, decoded or taken from the cache.

    Args:
        source: where the files are.
        files: what to pack.
        folder: the folder of this set inside the cache; the caller holds its lock.
        size: expected (rows, columns).
        advance: told of every file that is done.
    """
    state = _state(files)
    manifest = folder / f"{state}.csv"
    if manifest.exists():
        advance(len(files), "")
        return Packed(_open(folder, state), [row.problem for row in _read(manifest)])
    folder.mkdir(parents=True, exist_ok=True)
    problems = _build(source, files, folder, state, size, advance)
    for other in folder.iterdir():
        if not other.name.startswith(state):
            other.unlink()
    return Packed(_open(folder, state), problems)


def _state(files: Sequence[File]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.size}\0{file.stamp}\n".encode())
    return digest.hexdigest()[:16]


def _open(folder: Path, state: str) -> Gray:
    images: Gray = np.load(folder / f"{state}.npy", mmap_mode="r")
    return images


def _build(
    source: Source,
    files: Sequence[File],
    folder: Path,
    state: str,
    size: Size,
    advance: Callable[[int, str], None],
) -> list[str]:
    pixels, journal = folder / f"{state}.part.npy", folder / f"{state}.part.csv"
    done: dict[int, Row] = {}
    if pixels.exists() and journal.exists():
        images = np.lib.format.open_memmap(pixels, mode="r+")
        done = {row.row: row for row in _read(journal)}
    else:
        shape = (len(files), *size)
        images = np.lib.format.open_memmap(pixels, mode="w+", dtype=np.uint8, shape=shape)
        done = _reuse(files, folder, images)
    with journal.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("row", *COLUMNS))
        writer.writerows(_line(row) for row in done.values())
        advance(len(done), "")
        todo = [row for row in range(len(files)) if row not in done]
        for chunk in decode_files(source, [files[row] for row in todo], size):
            rows = todo[chunk.start : chunk.start + len(chunk.images)]
            images[rows] = chunk.images
            fresh = [
                Row(files[row], digest, problem, row)
                for row, digest, problem in zip(rows, chunk.digests, chunk.problems, strict=True)
            ]
            writer.writerows(map(_line, fresh))
            stream.flush()
            done |= {row.row: row for row in fresh}
            advance(len(rows), "")
    images.flush()
    return _finish(folder, state, [done[row] for row in range(len(files))])


def _finish(folder: Path, state: str, rows: list[Row]) -> list[str]:
    final = folder / f"{state}.part.final.csv"
    with final.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("row", *COLUMNS))
        writer.writerows(map(_line, rows))
    (folder / f"{state}.part.npy").replace(folder / f"{state}.npy")
    final.replace(folder / f"{state}.csv")
    (folder / f"{state}.part.csv").unlink()
    return [row.problem for row in rows]


def _reuse(files: Sequence[File], folder: Path, images: Gray) -> dict[int, Row]:
    """Copy the rows of unchanged files from an older state; the rows that need no decoding."""
    done: dict[int, Row] = {}
    for manifest in folder.glob("*.csv"):
        pixels = manifest.with_suffix(".npy")
        if not pixels.exists():
            continue
        old = np.load(pixels, mmap_mode="r")
        known = {row.file: row for row in _read(manifest)}
        rows = [row for row, file in enumerate(files) if row not in done and file in known]
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            images[part] = old[[known[files[row]].row for row in part]]
        done |= {row: known[files[row]]._replace(row=row) for row in rows}
    return done


def _line(row: Row) -> tuple[object, ...]:
    return (row.row, *row.file, row.sha256, row.problem)


def _read(manifest: Path) -> list[Row]:
    """The rows of a manifest; a last line cut off by a kill is left out."""
    with manifest.open(newline="", encoding="utf-8") as stream:
        lines = stream.read().rpartition("\n")[0].splitlines()
    return [
        Row(File(path, int(size), int(stamp)), sha256, problem, int(row))
        for row, path, size, stamp, sha256, problem in csv.reader(lines[1:])
    ]
