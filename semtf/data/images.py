"""The rules that every image of a data set keeps: one grey image of the expected size.

`semtf.data.png` and `semtf.data.image_file` decode files under these rules.
"""

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError

Gray = npt.NDArray[np.uint8]
Size = tuple[int, int]

EXTRA_BYTES = 1 << 20
"""Room in a file beside its pixels, for colour profiles and text."""


class BadImageError(Exception):
    """One file is no usable image; the message says why, and the caller knows the name."""


OPAQUE = 255
TRANSPARENT = "it has transparent pixels; save it as 8-bit grey"
OTHER_PALETTE = "it has a colour palette, or one that changes grey levels; save it as 8-bit grey"


def check_range16(range16: tuple[float, float] | None) -> None:
    """Raise InputError where the values that become grey levels 0 and 255 are in no order."""
    if range16 is not None and not range16[0] < range16[1]:
        raise InputError(f"--range16 {range16[0]:g},{range16[1]:g}: the second must be larger")


def grey_channel(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The common channel of [rows, columns, channels]: grey or RGB, with or without alpha.

    Raises:
        BadImageError: the channels of RGB differ, or a pixel is not opaque.
    """
    count = pixels.shape[-1]
    if count in (2, 4) and np.any(pixels[..., -1] != OPAQUE):
        raise BadImageError(TRANSPARENT)
    first = pixels[..., 0]
    if count < 3:
        return first
    if not (np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])):
        raise BadImageError("a colour image (its three channels differ); save it as grey")
    return first


def check_size(size: Size, expected: Size) -> None:
    """Raise BadImageError where an image is not of the expected (rows, columns)."""
    if size == expected:
        return
    hint = " (transposed?)" if size == expected[::-1] else ""
    raise BadImageError(
        f"it is {size[0]} x {size[1]} (rows x columns), expected {expected[0]} x {expected[1]}"
        + hint
    )


def check_bytes(length: int, size: Size) -> None:
    """Raise BadImageError where a file is empty or far larger than one image of the size."""
    if length == 0:
        raise BadImageError("the file is empty")
    most = EXTRA_BYTES + 8 * size[0] * size[1]
    if length > most:
        raise BadImageError(f"{length} bytes are too many for one image (at most {most})")
