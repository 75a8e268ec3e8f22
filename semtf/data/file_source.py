"""The source of files: a folder, or a zip archive that is read without unpacking it."""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from semtf.data import zip_members
from semtf.errors import InputError

STRAY = "__MACOSX"
MAX_DEPTH = 8
MOST_TEXT = 64 << 20
"""Bytes of a table or a document: a few kilobytes of a zip file may stand for gigabytes."""


class Span(NamedTuple):
    """The position of a zip member.

    Attributes:
        offset: of its header.
        length: its compressed bytes.
        method: of compression.
        archive: the zip file's name in the source's root; empty where it is the root itself.
    """

    offset: int
    length: int
    method: int
    archive: str = ""


class File(NamedTuple):
    """A file of a source.

    Attributes:
        path: inside the source, with ``/``.
        size: its bytes.
        stamp: a number that a change of its content alters.
        span: where it lies in the zip archive; None in a folder.
    """

    path: str
    size: int
    stamp: int
    span: Span | None = None


class Source(Protocol):
    """Files that can be listed and found by name; `read_file` gives their bytes."""

    root: Path

    def folders(self, under: str = "") -> list[str]:
        """The names of the folders directly in ``under``, sorted; none where it is missing."""

    def files(self, under: str = "") -> list[File]:
        """All files below ``under``, sorted; an empty list where it does not exist."""

    def find(self, path: str) -> File | None:
        """One file by its path, or None."""


def open_source(root: Path | str) -> Source:
    """The source at a path; raises InputError where there is none."""
    path = Path(root).expanduser()
    if not path.exists():
        raise InputError(f"{path}: no such folder or zip file")
    if path.is_dir():
        return FolderSource(path.resolve())
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: neither a folder nor a whole zip file")
    return ZipSource(path.resolve())


def full_path(root: Path, path: str) -> str:
    """The path of a file for messages; of a member as ``…/open.zip/test/SEM/000000.png``."""
    return f"{root}/{path}"


def is_stray(path: str) -> bool:
    """Whether a path is, or lies in, what file managers and notebooks leave behind."""
    return any(part.startswith(".") or part == STRAY for part in path.split("/"))


def read_file(root: Path, file: File) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read, or is no longer what was listed.
    """
    if file.span is None:
        with (root / file.path).open("rb", buffering=0) as stream:
            data = stream.read(file.size + 1)
    else:
        offset, length, method, archive = file.span
        path = root / archive if archive else root
        data = zip_members.read_member(path, offset, length, method, file.size)
        if zlib.crc32(data) != file.stamp:
            raise OSError("the checksum of the zip member is wrong")
    if len(data) != file.size:
        raise OSError("it changed while it was read")
    return data


def read_text_file(root: Path, file: File) -> bytes:
    """The bytes of a table or a document; raises OSError where it is larger than these can be."""
    if file.size > MOST_TEXT:
        raise OSError(f"{file.size} bytes are too many, at most {MOST_TEXT}")
    return read_file(root, file)


class FolderSource:
    """The files below a folder, stray files left out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self, under: str = "") -> list[str]:
        start = self.root / under
        return sorted(
            entry.name
            for entry in (_entries(str(start)) if start.is_dir() else ())
            if entry.is_dir() and not is_stray(entry.name)
        )

    def find(self, path: str) -> File | None:
        file = self.root / path
        return File(path, *_size_and_stamp(file.stat())) if file.is_file() else None

    def files(self, under: str = "") -> list[File]:
        start = self.root / under
        return sorted(self._walk(str(start), under, MAX_DEPTH)) if start.is_dir() else []

    def _walk(self, folder: str, inside: str, depth: int) -> Iterator[File]:
        for entry in _entries(folder):
            path = f"{inside}/{entry.name}" if inside else entry.name
            if is_stray(entry.name):
                continue
            if not entry.is_dir():
                yield _file(entry, path)
            elif depth:
                yield from self._walk(entry.path, path, depth - 1)


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _file(entry: "os.DirEntry[str]", path: str) -> File:
    """The file of an entry; a dangling link or a pipe has no bytes and is refused as empty."""
    try:
        status = entry.stat()
    except OSError:
        return File(path, 0, 0)
    regular = stat.S_ISREG(status.st_mode)
    return File(path, *_size_and_stamp(status)) if regular else File(path, 0, 0)


def _size_and_stamp(status: os.stat_result) -> tuple[int, int]:
    """Size, and the later of both times: a restored modification time hides no change."""
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)


class ZipSource:
    """The members of a zip archive, stray members left out; a stamp is a member's CRC-32.

    Args:
        root: what the paths of the files are relative to: the archive, or the folder it lies in.
        name: of the archive in that folder; empty where ``root`` is the archive.
        under: a folder that all members are taken to lie in.
    """

    def __init__(self, root: Path, name: str = "", under: str = "") -> None:
        self.root = root
        archive = root / name if name else root
        self._files = {
            under + path: _member(under + path, entry, archive, name)
            for path, entry in zip_members.members(archive)
            if not is_stray(path)
        }

    def folders(self, under: str = "") -> list[str]:
        prefix = f"{under}/" if under else ""
        inside = (path[len(prefix) :] for path in self._files if path.startswith(prefix))
        return sorted({path.partition("/")[0] for path in inside if "/" in path})

    def find(self, path: str) -> File | None:
        return self._files.get(path)

    def files(self, under: str = "") -> list[File]:
        prefix = f"{under}/" if under else ""
        return sorted(file for path, file in self._files.items() if path.startswith(prefix))


def _member(path: str, entry: zipfile.ZipInfo, archive: Path, name: str) -> File:
    if entry.flag_bits & zip_members.ENCRYPTED_FLAG:
        raise InputError(f"{full_path(archive, path)}: is encrypted; unpack it with its password")
    span = Span(entry.header_offset, entry.compress_size, entry.compress_type, name)
    return File(path, entry.file_size, entry.CRC, span)


class JoinedSource:
    """Sources whose paths are relative to one folder, as if they were one."""

    def __init__(self, root: Path, parts: Sequence[Source]) -> None:
        self.root = root
        self._parts = parts

    def folders(self, under: str = "") -> list[str]:
        return sorted({name for part in self._parts for name in part.folders(under)})

    def find(self, path: str) -> File | None:
        found = (part.find(path) for part in self._parts)
        return next((file for file in found if file is not None), None)

    def files(self, under: str = "") -> list[File]:
        return sorted(file for part in self._parts for file in part.files(under))
