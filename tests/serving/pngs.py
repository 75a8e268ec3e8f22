"""PNG files that must be taken or refused, and requests that hold them."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def png(pixels: np.ndarray) -> bytes:
    """An array as PNG, its pixel format being what Pillow makes of it."""
    return encoded(Image.fromarray(pixels))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    body = kind + content
    chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def bad_files() -> dict[str, tuple[bytes, str]]:
    """By name, a file that is no usable SEM image, and what must be said about it."""
    grey = np.random.default_rng(0).integers(0, 213, (72, 48), np.uint8)
    good, image = png(grey), Image.fromarray(grey)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    return {
        "empty": (b"", "empty"),
        "text": (b"hello", "no PNG file"),
        "jpeg": (encoded(image, "JPEG"), "JPEG"),
        "sixteen": (png(grey.astype(np.uint16)), "8 bits a sample"),
        "one_bit": (encoded(image.convert("1")), "8 bits a sample"),
        "palette": (encoded(image.convert("P")), "colour palette"),
        "rgba": (encoded(image.convert("RGBA")), "alpha channel"),
        "grey_alpha": (encoded(image.convert("LA")), "alpha channel"),
        "colour": (png(np.stack([grey, grey, grey // 2], axis=-1)), "channels differ"),
        "transposed": (png(np.ascontiguousarray(grey.T)), "transposed"),
        "small": (png(grey[:8]), "expected size 72 x 48"),
        "huge": (good + bytes(2 << 20), "too many bytes"),
        "transparent": (with_chunk(good, b"tRNS", b"\0\5"), "transparent"),
        "animated": (with_chunk(good, b"acTL", bytes(8)), "animation"),
        "flipped": (bytes(flipped), "Invalid PNG"),
        "truncated": (good[: len(good) // 2], "truncated"),
        "no_end": (good[:-12], "truncated"),
    }


def b64(data: bytes) -> dict[str, str]:
    """Bytes as a JSON value of the contract."""
    return {"b64": base64.b64encode(data).decode()}


def body(images: np.ndarray, **more: Any) -> dict[str, Any]:
    """A predict request of images ``[n, 72, 48]``."""
    return {"instances": [b64(png(image)) for image in images], **more}
