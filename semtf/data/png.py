"""One PNG image, checked chunk by chunk before it is decoded.

Decoders are lenient in ways that spoil a measurement without a word: 16-bit samples are cut to
8, palette indices are taken for grey levels, a flipped bit inside the compressed data goes
unnoticed. So a PNG is read as its specification (ISO/IEC 15948) lays it out, chunk by chunk with
its checksums, inflated by zlib, and only then decoded by Pillow.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from semtf.data.images import (
    OTHER_PALETTE,
    TRANSPARENT,
    BadImageError,
    Gray,
    Size,
    check_bytes,
    check_size,
    grey_channel,
)
from semtf.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
MODES = {
    (GREY, 8): ("L", "L"),
    (RGB, 8): ("RGB", "RGB"),
    (PALETTE, 8): ("P", "P"),
    (GREY_ALPHA, 8): ("LA", "LA"),
    (RGB_ALPHA, 8): ("RGBA", "RGBA"),
    (GREY, 16): ("I;16", "I;16B"),
}
"""Pillow's mode, and its name for the samples in the file, by colour type and depth."""
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
HEADER_END = 33
CRITICAL = (b"PLTE", b"IEND")
IDENTITY = bytes(level for level in range(256) for _ in "RGB")
"""The palette that shows each index as the grey level of that number."""
KEPT = (b"IDAT", b"PLTE", b"tRNS")
ANIMATION = b"acTL"
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1))  # fmt: skip
"""First row and column, and steps, of the passes of an interlaced PNG."""


class Header(NamedTuple):
    """Bits a sample, colour type, interlacing (0 or 1), bytes of the inflated data."""

    depth: int
    colour: int
    interlaced: int
    length: int


def decode_png(data: bytes, size: Size, *, sixteen: bool = False) -> npt.NDArray[np.generic]:
    """Decode a PNG that holds one grey image of the given size.

    Args:
        data: the bytes of the file.
        size: expected (rows, columns).
        sixteen: take 16-bit grey images too.

    Returns:
        uint8 [rows, columns], or uint16 where ``sixteen`` and the file holds 16 bits a sample.

    Raises:
        BadImageError: the file breaks the grey policy: 8-bit grey, or RGB with three equal
            channels, either with opaque alpha, or a palette that leaves grey levels as they are;
            of the expected size and with every checksum right.
    """
    header = check_header(data, size, sixteen=sixteen)
    chunks = _chunks(data)
    _check_palette(header, chunks)
    filtered = _inflated(chunks[b"IDAT"], header.length)
    mode, raw = MODES[header.colour, header.depth]
    # Pillow undoes the row filters. Zlib's level 0 wraps the data without compressing it, so it
    # is not inflated a second time, and nothing else of the file reaches Pillow. The arguments
    # are those that Pillow's own PNG reader gives.
    uncompressed = zlib.compress(filtered, 0)
    try:
        image = Image.frombytes(mode, size[::-1], uncompressed, "zip", raw, header.interlaced)
    except ValueError as error:
        raise BadImageError(f"its image data cannot be decoded ({error})") from error
    if header.depth == 16:
        return np.asarray(image)
    pixels = np.frombuffer(image.tobytes(), np.uint8)
    return grey_channel(pixels.reshape(*size, CHANNELS[header.colour]))


def check_header(data: bytes, size: Size, *, sixteen: bool = False) -> Header:
    """Read the PNG header and check it against the grey policy.

    Raises:
        BadImageError: with the reason.
    """
    if not data.startswith(SIGNATURE):
        raise BadImageError(_other_format(data))
    if len(data) < HEADER_END or data[8:16] != b"\x00\x00\x00\rIHDR":
        raise BadImageError("truncated: it ends inside the PNG header")
    width, height, depth, colour, *method, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    check_size((height, width), size)
    if colour not in CHANNELS:
        raise BadImageError(f"damaged: colour type {colour} does not exist")
    if depth == 16 and not (sixteen and colour == GREY):
        raise BadImageError("16 bits a sample; save it as 8-bit grey (or give its range of values)")
    if depth not in (8, 16):
        raise BadImageError(f"{depth} bits a sample; save it as 8-bit grey")
    if any(method) or interlaced not in (0, 1):
        raise BadImageError("damaged: its header names methods that do not exist")
    pixel = depth // 8 * CHANNELS[colour]
    length = _filtered_length(width, height, pixel, interlaced)
    return Header(depth, colour, interlaced, length)


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Image data (compressed), palette and transparency, once every checksum is found right."""
    position, kind = len(SIGNATURE), b""
    found = dict.fromkeys(KEPT, b"")
    while kind != b"IEND":
        if position + 8 > len(data):
            raise BadImageError("truncated: the file ends before its last chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise BadImageError("truncated: the file ends inside a chunk")
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise BadImageError(f"damaged: the checksum of its {kind!r} chunk is wrong")
        if kind in KEPT:
            found[kind] += data[position + 8 : end]
        elif kind == ANIMATION:
            raise BadImageError("it is an animation; save one image a file")
        elif kind[:1].isupper() and position > len(SIGNATURE) and kind not in CRITICAL:
            raise BadImageError(f"damaged: a {kind!r} chunk has no place in it")
        position = end + 4
    if not found[b"IDAT"]:
        raise BadImageError("it has no image data")
    return found


def _check_palette(header: Header, chunks: dict[bytes, bytes]) -> None:
    """Refuse transparent colours, and a palette that shows an index as another grey level."""
    transparent = chunks[b"tRNS"]
    if header.colour == PALETTE:
        if chunks[b"PLTE"] != IDENTITY[: len(chunks[b"PLTE"])]:
            raise BadImageError(OTHER_PALETTE)
        transparent = transparent.strip(b"\xff")
    if transparent:
        raise BadImageError(TRANSPARENT)


def _inflated(compressed: bytes, length: int) -> bytes:
    """The image data before compression; Pillow would leave missing rows black without a word."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(compressed, length + 1)
    except zlib.error as error:
        raise BadImageError(f"its compressed data is damaged ({error})") from error
    if len(data) != length or not stream.eof:
        raise BadImageError("damaged: its compressed data is not as long as the image")
    return data


def _filtered_length(width: int, height: int, pixel: int, interlaced: int) -> int:
    """Bytes of the image data before compression; each row has one more, for its filter."""
    if not interlaced:
        return height * (1 + width * pixel)
    passes = [
        (-(-(width - column) // columns), -(-(height - row) // rows))
        for row, column, rows, columns in ADAM7
    ]
    return sum(rows * (1 + columns * pixel) for columns, rows in passes if columns > 0)


def _other_format(data: bytes) -> str:
    if data.startswith(b"\xff\xd8"):
        return "JPEG data under the name of a PNG: JPEG changes grey levels, so export it again"
    return "it is no PNG file"


def read_png(path: Path | str, size: Size) -> Gray:
    """Read one grey PNG from disk as uint8 [rows, columns].

    Raises:
        InputError: naming the file, where it is missing or breaks the grey policy.
    """
    try:
        check_bytes(Path(path).stat().st_size, size)
        return np.array(decode_png(Path(path).read_bytes(), size), np.uint8)
    except (BadImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: {reason}") from error


def encode_png(image: npt.NDArray[np.generic], **options: int) -> bytes:
    """The grey PNG file of an image, uint8 or uint16 [rows, columns]; ``options`` as Pillow's."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def write_png(path: Path | str, image: Gray) -> None:
    """Write uint8 [rows, columns] as an 8-bit grey PNG.

    Raises:
        ValueError: the array has another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"expected uint8 [rows, columns], got {image.dtype} {image.shape}")
    Path(path).write_bytes(encode_png(image))
