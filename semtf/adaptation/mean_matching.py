"""The mean image of adapted images becomes the fab's: one image that is added to all of them.

Adversarial training settles grey levels of a single image, but lets edges wander together by
tenths of a pixel from epoch to epoch. The mean image shows that, and is known well.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.data.image_sets import FabSet
from semtf.errors import InputError

OFFSET = "mean_offset.npy"
SAMPLE = 4096
"""Adapted images, at most, whose mean is taken."""

Floats = npt.NDArray[np.float32]


def mean_image(fab: FabSet) -> Floats:
    """The mean of a case's fab images, ``[H, W]`` grey levels."""
    mean: Floats = fab.images.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def mean_offset(adapted: npt.NDArray[np.uint8], mean: Floats) -> Floats:
    """What images ``[n, H, W]`` lack of a mean image ``[H, W]``, grey levels."""
    offset: Floats = mean - np.mean(adapted, axis=0, dtype=np.float64).astype(np.float32)
    return offset


def with_mean(adapted: npt.NDArray[np.uint8], mean: Floats) -> npt.NDArray[np.uint8]:
    """Images ``[n, H, W]`` whose mean is moved to a mean image, up to rounding and clipping."""
    matched = adapted + mean_offset(adapted, mean)
    return np.clip(np.rint(matched), 0, 255).astype(np.uint8)


def save_offset(offset: Floats, folder: Path) -> None:
    """Write ``mean_offset.npy`` into the folder of an adapter."""
    np.save(folder / OFFSET, offset, allow_pickle=False)


def load_offset(folder: Path, size: tuple[int, int]) -> Floats | None:
    """Read what `save_offset` wrote; None where the adapter was fitted without it."""
    path = folder / OFFSET
    if not path.exists():
        return None
    try:
        offset = np.load(path, allow_pickle=False)
        if offset.shape != size or not np.isfinite(offset).all():
            raise ValueError(f"shape {offset.shape}, where images have {size}")
        return np.asarray(offset, np.float32)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train the case again") from error
