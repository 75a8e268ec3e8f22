"""One noisy scan of an image: jitter, charging, noise, and the normalisation to 8 bits."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from semtf.simulation.microscope import Microscope

WHITE = 212
"""Grey level of the brightest pixel of every image."""

Fields = NDArray[np.float32]


def expose(clean: Fields, microscope: Microscope, rng: np.random.Generator) -> Fields:
    """One noisy scan of noise-free images ``[n, height, width]``."""
    image = clean
    if microscope.jitter:
        image = _jittered(image, microscope, rng)
    if microscope.charging:
        image = _charged(image, microscope)
    image = shot_noise(image, microscope.dose, rng)
    image += microscope.read_noise * rng.standard_normal(image.shape, dtype=np.float32)
    if microscope.correlated_noise:
        smooth = smooth_noise(rng, image.shape, microscope.correlation_length)
        image += np.float32(microscope.correlated_noise) * smooth
    if microscope.line_noise:
        gain = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        image *= 1 + microscope.line_noise * gain
    return image


def shot_noise(image: Fields, dose: float, rng: np.random.Generator) -> Fields:
    """Poisson counts of ``dose`` electrons a pixel at signal 1, divided by the dose."""
    counts = rng.poisson(np.maximum(image, 0.0) * dose)
    return counts.astype(np.float32) / np.float32(dose)


def smooth_noise(rng: np.random.Generator, size: tuple[int, ...], length: float) -> Fields:
    """Gaussian noise ``[n, height, width]`` of variance 1; its correlation at a distance of r
    pixels is ``exp(−(r/length)²)``. It goes on beyond one edge at the opposite one."""
    white = rng.standard_normal(size, dtype=np.float32)
    rows, columns = (_correlator(n, float(length)) for n in size[1:])
    return np.asarray(rows @ white @ columns.T, np.float32)


@functools.lru_cache(maxsize=64)
def _correlator(size: int, length: float) -> Fields:
    """Circulant matrix that gives white noise its correlation along one axis."""
    distance = np.abs(np.arange(size) - np.arange(size)[:, None])
    distance = np.minimum(distance, size - distance)
    kernel = np.exp(-2 * (distance / length) ** 2)
    return np.asarray(kernel / np.linalg.norm(kernel, axis=1, keepdims=True), np.float32)


def normalise(image: Fields) -> NDArray[np.uint8]:
    """Scale each image ``[n, height, width]`` so that its maximum is 212, and round."""
    peak = image.max(axis=(1, 2), keepdims=True)
    return np.rint(np.clip(image / peak, 0.0, 1.0) * WHITE).astype(np.uint8)


def _jittered(image: Fields, microscope: Microscope, rng: np.random.Generator) -> Fields:
    """Shift each row by an AR(1) walk, with linear interpolation and repeated edges."""
    memory = microscope.jitter_memory
    steps = rng.standard_normal(image.shape[:2]) * microscope.jitter
    steps[:, 1:] *= np.sqrt(1 - memory**2)
    shift = np.clip(lfilter([1.0], [1.0, -memory], steps, axis=1), -1.0, 1.0)
    shift = shift[..., None].astype(np.float32)
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1)), mode="edge")
    before, after = padded[..., :-2], padded[..., 2:]
    return image + np.maximum(shift, 0) * (after - image) + np.maximum(-shift, 0) * (before - image)


def _charged(image: Fields, microscope: Microscope) -> Fields:
    """Darken what follows a bright stretch of the scan, and brighten what follows a dark one."""
    pole = microscope.charging_pole
    mean = image.mean(axis=(1, 2), keepdims=True)
    tail = lfilter([1 - pole], [1.0, -pole], image - mean, axis=2).astype(np.float32)
    return image - np.float32(microscope.charging) * tail
