"""Parts of an input, small enough to send to a worker, which reads and decodes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import Self

from semtf.batch.location import Location
from semtf.data.decoding import Chunk, Task, decode_chunk
from semtf.data.endings import IMAGES
from semtf.data.file_source import File, read_file
from semtf.data.images import Size
from semtf.errors import InputError

NAME, IMAGE = "name", "image"
"""Columns of Parquet and features of TFRecord files: the name, and the bytes of a PNG or TIFF."""
PNG_MARK = b"\x89PNG"
Range16 = tuple[float, float] | None


class Part(Protocol):
    """Images that stand side by side in an input."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the images."""

    def cut(self, start: int, stop: int) -> Self:
        """Some of the images."""

    def decoded(self, size: Size, range16: Range16) -> Chunk:
        """The images, uint8 ``[n, H, W]``, and the problem of each, empty where there is none."""


@dataclass(frozen=True)
class _Files:
    """Images that are files."""

    names: Sequence[str]
    files: Sequence[File]

    def cut(self, start: int, stop: int) -> Self:
        return replace(self, names=self.names[start:stop], files=self.files[start:stop])


@dataclass(frozen=True)
class FilePart(_Files):
    """Files of a folder or members of a zip file, on a disk that every worker sees."""

    root: Path

    def decoded(self, size: Size, range16: Range16) -> Chunk:
        return decode_chunk(Task(self.root, size, range16), 0, self.files, read_file)


@dataclass(frozen=True)
class RemotePart(_Files):
    """Files behind a URL."""

    folder: Location

    def decoded(self, size: Size, range16: Range16) -> Chunk:
        def read(_: Path, file: File) -> bytes:
            return self.folder.inside(file.path).read()

        return decode_chunk(Task(Path(), size, range16), 0, self.files, read)


@dataclass(frozen=True)
class _Rows:
    """Images that stand in one file, from ``start`` on."""

    names: Sequence[str]
    start: int

    def cut(self, start: int, stop: int) -> Self:
        return replace(self, names=self.names[start:stop], start=self.start + start)


@dataclass(frozen=True)
class ParquetPart(_Rows):
    """Rows of a Parquet file."""

    file: Location

    def decoded(self, size: Size, range16: Range16) -> Chunk:
        with pq.ParquetFile(self.file.path, filesystem=self.file.system) as table:
            groups, first = _row_groups(table, self.start, self.start + len(self.names))
            column = table.read_row_groups(groups, columns=[IMAGE])[IMAGE]
        values = column.slice(self.start - first, len(self.names)).to_pylist()
        # Data sets of Hugging Face keep an image as a pair of bytes and path.
        contents = [value["bytes"] if isinstance(value, dict) else value for value in values]
        return decode_contents(self.names, contents, size, range16)


@dataclass(frozen=True)
class RecordPart(_Rows):
    """Examples of a TFRecord file."""

    path: Path

    def decoded(self, size: Size, range16: Range16) -> Chunk:
        examples = islice(read_records(self.path), self.start, self.start + len(self.names))
        contents = [image for _, image in examples]
        return decode_contents(self.names, contents, size, range16)


def decode_contents(
    names: Sequence[str], contents: Sequence[bytes | None], size: Size, range16: Range16
) -> Chunk:
    """Decode images that lie in memory; where there are no bytes, that is the problem."""
    present = [content or b"" for content in contents]
    files = [
        File(_file_name(name, content), len(content), i)
        for i, (name, content) in enumerate(zip(names, present, strict=True))
    ]
    return decode_chunk(Task(Path(), size, range16), 0, files, lambda _, file: present[file.stamp])


def _file_name(name: str, content: bytes) -> str:
    """A name whose ending says what the bytes are; names of rows need none."""
    if name.lower().endswith(IMAGES):
        return name
    return name + (".png" if content.startswith(PNG_MARK) else ".tif")


def parquet_names(file: Location) -> list[str]:
    """The names of a Parquet file's images; raises InputError where it has none."""
    try:
        with pq.ParquetFile(file.path, filesystem=file.system) as table:
            missing = {NAME, IMAGE} - set(table.schema_arrow.names)
            if missing:
                raise InputError(
                    f"{file.text}: has the columns {', '.join(table.schema_arrow.names)}; give it "
                    f"{NAME} and {IMAGE}, the bytes of a PNG or TIFF file"
                )
            names = table.read(columns=[NAME])[NAME].to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file.text}: cannot be read as Parquet ({error})") from error
    if None in names:
        raise InputError(f"{file.text}, row {names.index(None)}: has no name; give each image one")
    return [str(name) for name in names]


def _row_groups(table: pq.ParquetFile, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups in which rows lie, and the first row of the first of them."""
    groups: list[int] = []
    first, row = start, 0
    for group in range(table.num_row_groups):
        count = table.metadata.row_group(group).num_rows
        if row < stop and row + count > start:
            first = first if groups else row
            groups.append(group)
        row += count
    return groups, first


def read_records(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and image of each example of a TFRecord file; raises InputError where it has others."""
    import tensorflow as tf

    try:
        for i, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()):
            features = tf.train.Example.FromString(record).features.feature
            if not (features[NAME].bytes_list.value and features[IMAGE].bytes_list.value):
                raise InputError(
                    f"{path}, example {i}: needs the features {NAME} and {IMAGE}, the bytes of a "
                    "PNG or TIFF file"
                )
            name, image = (features[key].bytes_list.value[0] for key in (NAME, IMAGE))
            yield name.decode("utf-8"), image
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as TFRecord ({error})") from error
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # protobuf's, whose module differs by version
            raise
        raise InputError(f"{path}: holds no tf.train.Example ({error})") from error
