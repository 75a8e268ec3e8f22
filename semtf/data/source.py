"""Where the files are: a folder, or a zip archive that is read without unpacking it."""

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from semtf.errors import InputError

STRAY = "__MACOSX"
MAX_DEPTH = 8


class File(NamedTuple):
    """A file of a source: its path inside (with /), bytes, and a stamp that a change alters."""

    path: str
    size: int
    stamp: int


class Source(Protocol):
    """Files that can be listed and read by name; `read` may be called from many threads."""

    root: Path

    def folders(self, under: str = "") -> list[str]: ...

    def files(self, under: str = "") -> list[File]: ...

    def find(self, path: str) -> File | None: ...

    def read(self, file: File) -> bytes: ...

    def where(self, path: str) -> str: ...


def open_source(root: Path | str) -> Source:
    """The source at a path; raises InputError where there is none."""
    path = Path(root).expanduser()
    if not path.exists():
        raise InputError(f"{path}: no such folder or zip file")
    if path.is_dir():
        return FolderSource(path.resolve())
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: neither a folder nor a zip file")
    return ZipSource(path.resolve())


def is_stray(path: str) -> bool:
    """Whether a path is, or lies in, what file managers and notebooks leave behind."""
    return path.startswith((".", STRAY)) or "/." in path


class FolderSource:
    """The files below a folder, sorted by path; stray files left out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folders(self, under: str = "") -> list[str]:
        """The names of the folders directly in ``under``, sorted."""
        return sorted(
            entry.name
            for entry in _entries(str(self.root / under))
            if entry.is_dir() and not is_stray(entry.name)
        )

    def find(self, path: str) -> File | None:
        """One file by its path, or None."""
        found = self.root / path
        return File(path, *_stamp(found.stat())) if found.is_file() else None

    def files(self, under: str = "") -> list[File]:
        """All files below ``under``; an empty list where it does not exist."""
        start = self.root / under
        return sorted(self._walk(str(start), under, MAX_DEPTH)) if start.is_dir() else []

    def _walk(self, folder: str, inside: str, depth: int) -> Iterator[File]:
        for entry in _entries(folder):
            path = f"{inside}/{entry.name}" if inside else entry.name
            if is_stray(entry.name):
                continue
            if entry.is_dir():
                if depth:
                    yield from self._walk(entry.path, path, depth - 1)
            else:
                yield _stat(entry, path)

    def read(self, file: File) -> bytes:
        """The bytes of a file; raises OSError."""
        with (self.root / file.path).open("rb", buffering=0) as stream:
            return stream.read(file.size + 1)

    def where(self, path: str) -> str:
        """A path as the user would name it."""
        return str(self.root / path)


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _stat(entry: "os.DirEntry[str]", path: str) -> File:
    try:
        found = entry.stat()
    except OSError:  # a dangling link: kept, so that reading it names the file
        return File(path, 0, 0)
    return File(path, *_stamp(found)) if stat.S_ISREG(found.st_mode) else File(path, 0, 0)


def _stamp(found: os.stat_result) -> tuple[int, int]:
    """Size, and the later of both times: a restored modification time is a change too."""
    return found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)


class ZipSource:
    """The members of a zip archive, read in place; stray members left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._archive = zipfile.ZipFile(root)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{root}: the zip file is broken ({error}); fetch it again") from error
        self._members = {
            member.filename: member
            for member in self._archive.infolist()
            if not member.is_dir() and not is_stray(member.filename)
        }

    def folders(self, under: str = "") -> list[str]:
        """The names of the folders directly in ``under``, sorted."""
        prefix = f"{under}/" if under else ""
        inside = (name[len(prefix) :] for name in self._members if name.startswith(prefix))
        return sorted({name.partition("/")[0] for name in inside if "/" in name})

    def find(self, path: str) -> File | None:
        """One member by its name, or None."""
        member = self._members.get(path)
        return None if member is None else File(path, member.file_size, member.CRC)

    def files(self, under: str = "") -> list[File]:
        """All members below ``under``, sorted; the stamp is the member's CRC-32."""
        prefix = f"{under}/" if under else ""
        return sorted(
            File(name, member.file_size, member.CRC)
            for name, member in self._members.items()
            if name.startswith(prefix)
        )

    def read(self, file: File) -> bytes:
        """The bytes of a member; raises OSError where the archive is damaged."""
        member = self._members[file.path]
        try:
            with self._archive.open(member) as stream:
                return stream.read(file.size + 1)
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise OSError(f"the zip member cannot be read ({error})") from error

    def where(self, path: str) -> str:
        """A member as the user would name it: ``open.zip/test/SEM/…``."""
        return f"{self.root}/{path}"
