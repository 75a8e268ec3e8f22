"""The members of a zip archive: their paths, whatever tool wrote them, and their bytes.

Tools differ in how they write a name: with ``./`` or ``/`` before it (bsdtar, which is the tar of
Windows and macOS), with backslashes between folders, or in the code page of the machine without a
word about which one. In Shift-JIS, GBK and Big5 the second byte of a letter may be that of a
backslash, so a name is decoded before it is split.
"""

import struct
import threading
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from semtf.errors import InputError

CODE_PAGES = ("utf-8", "gb2312", "big5", "cp932", "gbk", "cp437")
"""Tried in turn on all names of an archive that say nothing of their code page.

The stricter one comes first: each of them refuses most texts in those before it. The last takes
everything.
"""
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1
LOCAL_HEADER = struct.Struct("<4s22xHH")


def members(root: Path) -> list[tuple[str, zipfile.ZipInfo]]:
    """Path (with ``/``) and entry of every file of an archive.

    Raises:
        InputError: the archive is broken; a name leads out of it or is there twice.
    """
    try:
        with zipfile.ZipFile(root) as archive:
            entries = archive.infolist()
    # zipfile raises ValueError for damaged numbers, NotImplementedError for versions it lacks.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{root}: the zip file is broken ({error}); fetch it again") from error
    found: dict[str, zipfile.ZipInfo] = {}
    for name, entry in zip(_names(entries), entries, strict=True):
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if "\0" in name:
            raise InputError(f"{root}: the name {name!r} holds a NUL; make the archive anew")
        if ".." in parts:
            raise InputError(f"{root}/{name}: leads out of the zip file; make the archive anew")
        path = "/".join(parts)
        if not path or name.endswith("/"):
            continue
        if path in found:
            raise InputError(f"{root}/{path}: is there twice; make the archive anew")
        found[path] = entry
    return list(found.items())


def _names(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The name of each entry, decoded, with ``/`` between folders."""
    # zipfile decodes names that say nothing of their code page as cp437, which takes every byte.
    told = [bool(entry.flag_bits & UTF8_FLAG) for entry in entries]
    raw = {i: entry.orig_filename.encode("cp437") for i, entry in enumerate(entries) if not told[i]}
    page = _code_page(list(raw.values()))
    names = [
        raw[i].decode(page) if i in raw else entry.orig_filename for i, entry in enumerate(entries)
    ]
    if any("/" in name for name in names):
        return names
    return [name.replace("\\", "/") for name in names]


def _code_page(names: Sequence[bytes]) -> str:
    """The first code page in which all names can be read."""
    for page in CODE_PAGES:
        try:
            for name in names:
                name.decode(page)
        except UnicodeDecodeError:
            continue
        return page
    raise AssertionError("cp437 takes every byte")


_READING = threading.Lock()


@lru_cache(maxsize=8)
def _opened(root: Path, _state: tuple[int, int, int]) -> BinaryIO:
    return root.open("rb", buffering=0)


def _archive(root: Path) -> BinaryIO:
    """The open archive: the one that now has this name, which another may have had before."""
    status = root.stat()
    return _opened(root, (status.st_ino, status.st_mtime_ns, status.st_size))


def _read_at(archive: BinaryIO, length: int, offset: int) -> bytes:
    """Bytes from an offset in a file that several threads may read."""
    with _READING:
        archive.seek(offset)
        return archive.read(length)


def read_member(root: Path, offset: int, length: int, method: int, size: int) -> bytes:
    """Read one member of an archive by its offset.

    `zipfile` has listed the members; reading them through it needs one handle and the whole
    directory in every process, and costs as much as decoding the image.

    Args:
        root: the archive.
        offset: of the member's header.
        length: its bytes in the archive.
        method: of compression.
        size: its bytes.

    Raises:
        OSError: it cannot be read.
    """
    archive = _archive(root)
    header = _read_at(archive, LOCAL_HEADER.size, offset)
    if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
        raise OSError("the zip member has no header")
    _, name, extra = LOCAL_HEADER.unpack(header)
    data = _read_at(archive, length, offset + LOCAL_HEADER.size + name + extra)
    if method == zipfile.ZIP_STORED:
        return data
    if method != zipfile.ZIP_DEFLATED:
        raise OSError("the zip member is neither stored nor deflated")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    except zlib.error as error:
        raise OSError(f"the zip member is damaged ({error})") from error
