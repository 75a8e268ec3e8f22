"""The scale of the networks: grey levels 0 to 212 become −1 to 1."""

import numpy as np
import numpy.typing as npt

from semtf.data.images import Gray

FULL_SCALE = 212.0
"""Maximum of every SEM image, of both domains: each is normalised to it."""


def to_network(levels: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Grey levels to the scale of the networks, ``x/212·2 − 1``; same shape, float32."""
    return np.asarray(levels, np.float32) * np.float32(2 / FULL_SCALE) - np.float32(1)


def from_network(values: npt.ArrayLike) -> Gray:
    """The inverse of `to_network`: rounded and clipped to 0..255, uint8."""
    levels = (np.asarray(values, np.float32) + np.float32(1)) * np.float32(FULL_SCALE / 2)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
