"""Files on a disk or behind a URL, by one interface: pyarrow's file systems."""

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from semtf.data.file_source import File, is_stray
from semtf.disk import explain_full_disk
from semtf.errors import InputError
from semtf.manifest import PARTIAL


@dataclass(frozen=True)
class Location:
    """A folder or file.

    Attributes:
        system: its file system; it goes to the workers.
        path: in that file system.
        text: what the user calls it.
    """

    system: fs.FileSystem
    path: str
    text: str

    @classmethod
    def of(cls, text: str | Path) -> "Location":
        """The location that a path or URL names; raises InputError where nothing serves the URL."""
        text = str(text)
        if "://" not in text:
            return cls(fs.LocalFileSystem(), str(Path(text).expanduser().resolve()), text)
        try:
            system, path = fs.FileSystem.from_uri(text)
            return cls(system, path, text)
        except pa.ArrowInvalid:
            return cls._of_fsspec(text)
        except OSError as error:
            raise InputError(f"{text}: cannot be reached ({error})") from error

    @classmethod
    def _of_fsspec(cls, text: str) -> "Location":
        try:
            from fsspec.core import url_to_fs

            system, path = url_to_fs(text)
        except (ImportError, ValueError, OSError) as error:
            raise InputError(
                f"{text}: nothing serves such a URL ({error}); install the fsspec package of it"
            ) from error
        return cls(fs.PyFileSystem(fs.FSSpecHandler(system)), path, text)

    @property
    def is_local(self) -> bool:
        """Whether it lies on a disk."""
        return isinstance(self.system, fs.LocalFileSystem)

    @property
    def kind(self) -> fs.FileType:
        """Whether a file or a folder is there, or nothing."""
        try:
            return self.system.get_file_info(self.path).type
        except OSError as error:
            raise InputError(f"{self.text}: cannot be reached ({error})") from error

    def inside(self, name: str) -> "Location":
        """A file of this folder."""
        return Location(self.system, f"{self.path}/{name}", f"{self.text.rstrip('/')}/{name}")

    def files(self) -> list[File]:
        """All files below this folder, stray ones left out, sorted; their paths are relative."""
        try:
            found = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        except OSError as error:
            raise InputError(f"{self.text}: cannot be read ({error})") from error
        start = len(self.path.rstrip("/")) + 1
        files = (
            File(entry.path[start:], entry.size or 0, entry.mtime_ns or 0)
            for entry in found
            if entry.type == fs.FileType.File
        )
        return sorted(file for file in files if not is_stray(file.path))

    def read(self) -> bytes:
        """The bytes of this file; raises OSError where it cannot be read."""
        with self.system.open_input_stream(self.path) as stream:
            content: bytes = stream.read()
        return content

    def write(self, content: bytes) -> None:
        """Write this file: it appears whole or not at all, whoever else writes it.

        Raises:
            TrainingError: the disk is full.
        """
        with explain_full_disk(self.text, "the same command goes on"):
            self._write(content)

    def _write(self, content: bytes) -> None:
        folder, _, name = self.path.rpartition("/")
        if self.is_local:
            Path(folder).mkdir(parents=True, exist_ok=True)
        partial = f"{folder}/.{name}.{uuid4().hex}{PARTIAL}"
        try:
            with self.system.open_output_stream(partial) as stream:
                stream.write(content)
            if self.is_local:
                _sync(partial)
            self.system.move(partial, self.path)
        except BaseException:
            if self.system.get_file_info(partial).type == fs.FileType.File:
                self.system.delete_file(partial)
            raise

    def remove_partial(self) -> None:
        """Remove what killed writers left in this folder."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        for entry in self.system.get_file_info(selector):
            if entry.base_name.startswith(".") and entry.base_name.endswith(PARTIAL):
                self.system.delete_file(entry.path)


def _sync(path: str) -> None:
    """Bring a file to the disk before it gets its name, so that no crash leaves half of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
