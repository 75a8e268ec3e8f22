"""The source of files: a folder, or a zip archive that is read without unpacking it."""

import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from semtf.errors import InputError

STRAY = "__MACOSX"
MAX_DEPTH = 8
LOCAL_HEADER = struct.Struct("<4s22xHH")


class Span(NamedTuple):
    """The position of a zip member: its header's offset, compressed length and method."""

    offset: int
    length: int
    method: int


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
        """The names of the folders directly in ``under``, sorted."""

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
    return path.startswith((".", STRAY)) or "/." in path


def read_file(root: Path, file: File) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read, or is no longer what was listed.
    """
    if file.span is None:
        with (root / file.path).open("rb", buffering=0) as stream:
            data = stream.read(file.size + 1)
    else:
        data = _read_member(_archive(root), file.span, file.size)
        if zlib.crc32(data) != file.stamp:
            raise OSError("the checksum of the zip member is wrong")
    if len(data) != file.size:
        raise OSError("it changed while it was read")
    return data


class FolderSource:
    """The files below a folder, stray files left out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self, under: str = "") -> list[str]:
        return sorted(
            entry.name
            for entry in _entries(str(self.root / under))
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
    """The members of a zip archive, stray members left out; a stamp is a member's CRC-32."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            with zipfile.ZipFile(root) as archive:
                self._files = dict(_members(root, archive))
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{root}: the zip file is broken ({error}); fetch it again") from error

    def folders(self, under: str = "") -> list[str]:
        prefix = f"{under}/" if under else ""
        inside = (path[len(prefix) :] for path in self._files if path.startswith(prefix))
        return sorted({path.partition("/")[0] for path in inside if "/" in path})

    def find(self, path: str) -> File | None:
        return self._files.get(path)

    def files(self, under: str = "") -> list[File]:
        prefix = f"{under}/" if under else ""
        return sorted(file for path, file in self._files.items() if path.startswith(prefix))


def _members(root: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, File]]:
    for member in archive.infolist():
        path = member.filename.replace("\\", "/")
        if member.is_dir() or is_stray(path):
            continue
        if member.flag_bits & 1:
            raise InputError(f"{full_path(root, path)}: is encrypted; unpack it with its password")
        span = Span(member.header_offset, member.compress_size, member.compress_type)
        yield path, File(path, member.file_size, member.CRC, span)


_READING = threading.Lock()


@lru_cache(maxsize=4)
def _archive(root: Path) -> BinaryIO:
    return root.open("rb", buffering=0)


def _read_at(archive: BinaryIO, length: int, offset: int) -> bytes:
    """Bytes from an offset in a file that several threads may read."""
    with _READING:
        archive.seek(offset)
        return archive.read(length)


def _read_member(archive: BinaryIO, span: Span, size: int) -> bytes:
    """Read one member by its offset.

    `zipfile` has listed the members; reading them through it needs one handle and the whole
    directory in every process, and costs as much as decoding the image.
    """
    header = _read_at(archive, LOCAL_HEADER.size, span.offset)
    if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise OSError("the zip member has no header")
    _, name, extra = LOCAL_HEADER.unpack(header)
    start = span.offset + LOCAL_HEADER.size + name + extra
    data = _read_at(archive, span.length, start)
    if span.method == zipfile.ZIP_STORED:
        return data
    if span.method != zipfile.ZIP_DEFLATED:
        raise OSError("the zip member is neither stored nor deflated")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    except zlib.error as error:
        raise OSError(f"the zip member is damaged ({error})") from error
