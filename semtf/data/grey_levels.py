"""Arrays that cannot be grey levels: images in 0–1, in −1…1, of 16 bits.

Similarity forgets the scale of an image, but the classifier does not: an image on another scale
gets a wrong case with confidence. What cannot be grey levels is refused, by image: a float image
whose own maximum is at most 1 cannot be told from one in 0–1, however bright its neighbours are.
A whole-numbered image may be as dark as it likes; it is a dark image, and is flagged.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError

WHITE = 255.0
DARKEST = 1.0
"""Floats must exceed this somewhere in an image."""

NEGATIVE = (
    "image {} has values down to {}, but grey levels are 0 to 255; undo the scaling (of x / 127.5 "
    "- 1 by (x + 1) * 127.5), or clip what only overshoots"
)
ABOVE = (
    "image {} has values up to {}, but grey levels are 0 to 255; bring the range of the values to "
    "0-255 (of all 16 bits: divide by 257; in files: --range16), or clip what only overshoots"
)
DARK = (
    "image {} has floats of at most {}, as images in 0-1 have, but grey levels are 0 to 255; "
    "multiply by 255 (an image that is really so dark: give it as uint8 or PNG)"
)
"""Messages for an image's index and its value; the exported graph has the same."""


def check_grey_levels(images: npt.NDArray[Any]) -> None:
    """Raise InputError where an array ``[n, H, W]`` cannot be images in grey levels.

    Integers must lie in 0–255; floats must also be finite, and exceed 1 in every image. Other
    types than these are refused.
    """
    if images.dtype == np.uint8:
        return
    if images.dtype.kind not in "iuf":
        raise InputError(f"images of type {images.dtype}: give grey levels 0 to 255, such as uint8")
    if not np.isfinite(images).all():
        raise InputError("images: there are values that are not finite; mend them first")
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    dark = (high <= DARKEST) & (images.dtype.kind == "f")
    for wrong, values, message in (
        (low < 0, low, NEGATIVE),
        (high > WHITE, high, ABOVE),
        (dark, high, DARK),
    ):
        if wrong.any():
            index = int(np.argmax(wrong))
            raise InputError(message.format(index, f"{values[index]:.6g}"))
