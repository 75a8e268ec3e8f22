"""One image file, PNG or TIFF, to 8-bit grey levels."""

import io
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from semtf.data.images import (
    OTHER_PALETTE,
    BadImageError,
    Gray,
    Size,
    check_size,
    grey_channel,
)
from semtf.data.png import IDENTITY, decode_png

REMEDY = "save it as 8-bit grey levels (0-1 times 255), or 16-bit grey with --range16"
MODES = ("L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B")
"""Pillow's modes of the files that are taken."""
DEEPEST = (1 << 16) - 1
LOSSY = (6, 7, 34712, 50001)
"""Values of the TIFF tag Compression: JPEG, old and new, JPEG 2000, and WebP."""
SIGNED, MIN_IS_WHITE = 2, 0
"""Values of the TIFF tags SampleFormat and PhotometricInterpretation."""


def decode_image(
    data: bytes, name: str, *, size: Size, range16: tuple[float, float] | None = None
) -> Gray:
    """Decode a PNG or TIFF that holds one grey image; 16-bit values are scaled by ``range16``.

    Args:
        data: the bytes of the file.
        name: its name; the ending says which format it must be.
        size: expected (rows, columns).
        range16: the 16-bit values that become grey levels 0 and 255; values outside are clipped.

    Returns:
        uint8 [rows, columns].

    Raises:
        BadImageError: the file breaks the grey policy, or has 16 bits and there is no ``range16``.
    """
    if name.lower().endswith(".png"):
        pixels = decode_png(data, size, sixteen=range16 is not None)
    else:
        pixels = decode_tiff(data, size)
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    if range16 is None:
        raise BadImageError("16 bits a sample; save it as 8-bit grey (or give its range of values)")
    low, high = range16
    levels = (pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def image_size(data: bytes) -> Size:
    """The (rows, columns) that the header of a PNG or TIFF file names.

    Raises:
        BadImageError: the file is neither.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF")) as image:
            columns, rows = image.size
    except Exception as error:  # Pillow documents no closed set of errors for malformed files
        raise BadImageError("it is no PNG or TIFF file") from error
    return rows, columns


def decode_tiff(data: bytes, size: Size) -> npt.NDArray[np.generic]:
    """Decode a TIFF of one page, grey (8 or 16 bits) or RGB with three equal channels.

    A palette must leave grey levels as they are, alpha must be opaque. Where white is zero, the
    values are inverted.

    Raises:
        BadImageError: with the reason.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            check_size(image.size[::-1], size)
            if getattr(image, "n_frames", 1) != 1:
                raise BadImageError("a TIFF of several pages; save one image a file")
            # That is the class of what is opened as TIFF.
            white_is_zero = _check_tiff(cast("TiffImageFile", image))
            pixels = np.asarray(image)
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError(f"no TIFF file, or another pixel format; {REMEDY}") from error
    except Exception as error:  # Pillow documents no closed set of errors for malformed files
        raise BadImageError(f"it cannot be decoded as TIFF ({error})") from error
    if pixels.dtype == np.uint8:
        return grey_channel(pixels.reshape(*size, -1))
    deep = pixels.astype(np.uint16)
    return np.uint16(DEEPEST) - deep if white_is_zero else deep


def _check_tiff(image: TiffImageFile) -> bool:
    """Whether white is zero; Pillow inverts such images of 8 bits, but not those of 16.

    Raises:
        BadImageError: the samples are no grey levels, or Pillow would change them: it takes signed
            bytes for unsigned ones, and cuts 16-bit colour to 8 bits.
    """
    tags = image.tag_v2
    deep = max(tags.get(ExifTags.Base.BitsPerSample, (1,))) > 8
    white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == MIN_IS_WHITE
    if tags.get(ExifTags.Base.Compression) in LOSSY:
        raise BadImageError("compressed as JPEG or WebP, which changes grey levels; save it anew")
    if image.mode not in MODES:
        raise BadImageError(f"pixel format {image.mode}; {REMEDY}")
    if image.mode == "P" and bytes(image.getpalette() or ()) != IDENTITY:
        raise BadImageError(OTHER_PALETTE)
    if SIGNED in tags.get(ExifTags.Base.SampleFormat, ()):
        raise BadImageError(f"signed samples; {REMEDY}")
    if deep and not image.mode.startswith("I;16"):
        raise BadImageError("16 bits in colour; save it as 16-bit grey")
    return white_is_zero
