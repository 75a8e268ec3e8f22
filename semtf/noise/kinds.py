"""Kinds of noise that a scanning microscope adds to an image, each with one size.

All take images in grey levels ``[n, H, W]``, whose rows are the scan's lines. Kinds of several
memories or lengths stand side by side, so that a mixture of them can have any memory between.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

Images = npt.NDArray[np.float32]
BRIGHT = 200.0
"""Grey level at which shot noise and the noise of lines have their size."""


@dataclass(frozen=True)
class Kind:
    """One kind of noise.

    Attributes:
        group: what a user calls it: white, shot, correlated, line, jitter or drift.
        unit: of its size, ``levels`` or ``px``.
        trial: the size that its traces are measured at.
        add: images with the noise of a size, from a generator of random numbers.
    """

    group: str
    unit: str
    trial: float
    add: Callable[[Images, np.random.Generator, float], Images]


def _white(images: Images, generator: np.random.Generator, size: float) -> Images:
    """Adds the same to all grey levels: a detector's noise."""
    return images + np.float32(size) * generator.standard_normal(images.shape, dtype=np.float32)


def _shot(images: Images, generator: np.random.Generator, size: float) -> Images:
    """Noise whose variance is proportional to the grey level: counted electrons."""
    deviation = np.float32(size) * np.sqrt(np.maximum(images, 0) / np.float32(BRIGHT))
    return images + deviation * generator.standard_normal(images.shape, dtype=np.float32)


def _correlated(length: float) -> Callable[[Images, np.random.Generator, float], Images]:
    """Smooth noise whose correlation at a distance of r pixels is ``exp(−(r/length)²)``."""

    def add(images: Images, generator: np.random.Generator, size: float) -> Images:
        white = generator.standard_normal(images.shape, dtype=np.float32)
        smooth = gaussian_filter(white, (0, length / 2, length / 2), mode="wrap")
        return images + np.float32(size) * smooth / smooth.std()

    return add


def _line(memory: float) -> Callable[[Images, np.random.Generator, float], Images]:
    """A gain of each row, an AR(1) process from row to row."""

    def add(images: Images, generator: np.random.Generator, size: float) -> Images:
        gain = autoregressive(generator, images.shape[:2], memory)
        return images * (1 + np.float32(size / BRIGHT) * gain[..., None])

    return add


def _jitter(memory: float) -> Callable[[Images, np.random.Generator, float], Images]:
    """A shift of each row, an AR(1) process from row to row."""

    def add(images: Images, generator: np.random.Generator, size: float) -> Images:
        return moved_rows(images, size * autoregressive(generator, images.shape[:2], memory))

    return add


def autoregressive(
    generator: np.random.Generator, shape: tuple[int, ...], memory: float
) -> npt.NDArray[np.float32]:
    """Stationary AR(1) processes ``[n, H]`` of variance 1."""
    steps = generator.standard_normal(shape)
    steps[:, 1:] *= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], steps, axis=1), np.float32)


def moved_rows(images: Images, shift: npt.NDArray[np.floating]) -> Images:
    """Rows moved right by ``shift`` ``[n, H]`` pixels, interpolated, the edges repeated."""
    width = images.shape[2]
    source = np.clip(np.arange(width) - shift[..., None], 0, width - 1)
    left = np.minimum(source.astype(np.int64), width - 2)
    part = (source - left).astype(np.float32)
    before = np.take_along_axis(images, left, axis=2)
    after = np.take_along_axis(images, left + 1, axis=2)
    return before + part * (after - before)


KINDS: dict[str, Kind] = {
    "jitter_0": Kind("jitter", "px", 0.3, _jitter(0.3)),
    "jitter_1": Kind("jitter", "px", 0.3, _jitter(0.7)),
    "jitter_2": Kind("jitter", "px", 0.3, _jitter(0.9)),
    "drift": Kind("drift", "px", 0.3, _jitter(0.98)),
    "line_0": Kind("line", "levels", 1.0, _line(0.0)),
    "line_1": Kind("line", "levels", 1.0, _line(0.9)),
    "correlated_0": Kind("correlated", "levels", 2.0, _correlated(2.0)),
    "correlated_1": Kind("correlated", "levels", 2.0, _correlated(4.0)),
    "correlated_2": Kind("correlated", "levels", 2.0, _correlated(7.0)),
    "white": Kind("white", "levels", 4.0, _white),
    "shot": Kind("shot", "levels", 4.0, _shot),
}
"""By name, all kinds, in the order in which a microscope adds them."""
