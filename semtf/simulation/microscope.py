"""Two SEMs, the simulator's and the fab's: from structures to 8-bit images.

Phenomenological, of the class of artificial SEM images that metrology accepts for benchmarking
algorithms (P. Cizmar et al., "Simulated SEM images for resolution measurement", Scanning 30,
2008); it makes no absolute claim, for which Monte Carlo simulation is needed. Lengths are
nominal, in pixels, and intensities are relative to a flat plate.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.sparse import csr_array, kron

from semtf.cases import Case
from semtf.simulation.geometry import FLOOR_LEVEL, MARGIN, Fields, Structures
from semtf.simulation.shadowing import Horizon, horizon

LEVELS_PER_PIXEL = 2.47
"""Grey levels of depth that are as long as one pixel is wide."""

WHITE = 212
"""Grey level of the brightest pixel of every image."""


@dataclass(frozen=True)
class Microscope:
    """Constants of a microscope.

    Attributes:
        tilt_power, tilt_cap: yield of a slope θ: ``min((1/cos θ)^power, cap)``.
        visibility_power, visibility_floor: signal of a point that sees the share V of the sky:
            ``floor + (1 − floor)·V^power``.
        bloom, bloom_length: brightening outside the edge, ``1 + bloom·exp(−d/length)``.
        asymmetry: relative gain of a wall that faces the detector (to the right), ``1 + a·n_x``
            with the surface normal's column component ``n_x``.
        blur: Gaussian point spread (rows, columns), standard deviations in pixels.
        magnification: (rows, columns), about the image's centre.
        contrast, black: the detector's response, ``(I^contrast − black)/(1 − black)``.
        dose: electrons a pixel of a flat plate.
        read_noise: standard deviation, relative to a flat plate.
        jitter, jitter_memory: row shift in pixels (standard deviation) and its AR(1) coefficient.
        charging, charging_pole: tail ``I − g·IIR(I − mean)`` along the scan, one-pole filter.
        line_noise: standard deviation of each row's gain.
    """

    tilt_power: float = 0.65
    tilt_cap: float = 1.06
    visibility_power: float = 0.97
    visibility_floor: float = 0.062
    bloom: float = 0.685
    bloom_length: float = 4.6
    asymmetry: float = 0.0
    blur: tuple[float, float] = (1.05, 1.05)
    magnification: tuple[float, float] = (1.0, 1.0)
    contrast: float = 1.0
    black: float = 0.0
    dose: float = 153.0
    read_noise: float = 0.0165
    jitter: float = 0.0
    jitter_memory: float = 0.85
    charging: float = 0.0
    charging_pole: float = 0.9
    line_noise: float = 0.0


SIMULATOR = Microscope()
DOSE = replace(SIMULATOR, dose=2500.0)
TONAL = replace(DOSE, contrast=0.5, black=0.35)
STRUCT = replace(
    DOSE,
    visibility_power=1.25,
    visibility_floor=0.073,
    bloom=0.44,
    bloom_length=8.5,
    blur=(1.26, 1.75),
    asymmetry=0.6,
    charging=0.25,
    jitter=0.4,
    dose=1250.0,
    line_noise=0.004,
    magnification=(1.04, 1.05),
)
FABS = {"dose": DOSE, "tonal": TONAL, "struct": STRUCT}


@dataclass(frozen=True)
class Scene:
    """Structures with what every case and microscope needs of them, computed once."""

    structures: Structures
    horizon: Horizon
    gradient: tuple[Fields, Fields]

    @classmethod
    def of(cls, structures: Structures) -> "Scene":
        """Find horizons and (row, column) gradients of the shape fields."""
        shape = structures.shape
        gradient = (np.gradient(shape, axis=1), np.gradient(shape, axis=2))
        return cls(structures, horizon(shape), gradient)


def hole_depth(case: Case) -> float:
    """Nominal depth of a case's holes, in pixels."""
    return (case.plate - FLOOR_LEVEL) / LEVELS_PER_PIXEL


def render(
    scene: Scene, case: Case, microscope: Microscope, rng: np.random.Generator, exposures: int = 1
) -> NDArray[np.uint8]:
    """Images of a scene's structures in a case, ``[exposures, n, height, width]``.

    Every exposure has its own noise; the maximum of each image is 212.
    """
    clean = formed(scene, case, microscope)
    return np.stack([normalise(expose(clean, microscope, rng)) for _ in range(exposures)])


def formed(scene: Scene, case: Case, microscope: Microscope) -> Fields:
    """Image before any noise, ``[n, height, width]``, relative to a flat plate."""
    signal = emission(scene, hole_depth(case), microscope)
    count, rows, columns = signal.shape
    height, width = rows - 2 * MARGIN, columns - 2 * MARGIN
    spread = _spread(height, width, microscope.blur, microscope.magnification)
    image = (spread @ signal.reshape(count, -1).T).T.reshape(count, height, width)
    response = image ** np.float32(microscope.contrast)
    return (response - microscope.black) / (1 - microscope.black)


def emission(scene: Scene, depth: float, microscope: Microscope) -> Fields:
    """Detected signal of each point, with margins, for a hole depth in pixels."""
    rows, columns = scene.gradient
    steepness = 1 + depth**2 * (rows**2 + columns**2)
    signal = np.minimum(steepness ** (microscope.tilt_power / 2), microscope.tilt_cap)
    visible = scene.horizon.visibility(depth) ** np.float32(microscope.visibility_power)
    signal *= microscope.visibility_floor + (1 - microscope.visibility_floor) * visible
    distance = scene.structures.distance
    outside = np.clip(0.5 - distance, 0.0, 1.0)
    glow = np.exp(np.minimum(distance, 0.0) / np.float32(microscope.bloom_length))
    signal *= 1 + microscope.bloom * outside * glow
    if microscope.asymmetry:
        signal *= 1 + microscope.asymmetry * depth * columns / np.sqrt(steepness)
    return signal


def expose(clean: Fields, microscope: Microscope, rng: np.random.Generator) -> Fields:
    """One noisy scan of noise-free images ``[n, height, width]``."""
    image = clean
    if microscope.jitter:
        image = _jittered(image, microscope, rng)
    if microscope.charging:
        image = _charged(image, microscope)
    image = shot_noise(image, microscope.dose, rng)
    image += microscope.read_noise * rng.standard_normal(image.shape, dtype=np.float32)
    if microscope.line_noise:
        gain = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        image *= 1 + microscope.line_noise * gain
    return image


def shot_noise(image: Fields, dose: float, rng: np.random.Generator) -> Fields:
    """Poisson counts of ``dose`` electrons a pixel at signal 1, divided by the dose."""
    counts = rng.poisson(np.maximum(image, 0.0) * dose)
    return counts.astype(np.float32) / np.float32(dose)


def normalise(image: Fields) -> NDArray[np.uint8]:
    """Scale each image ``[n, height, width]`` so that its maximum is 212, and round."""
    peak = image.max(axis=(1, 2), keepdims=True)
    return np.rint(np.clip(image / peak, 0.0, 1.0) * WHITE).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _spread(
    height: int, width: int, blur: tuple[float, float], magnification: tuple[float, float]
) -> csr_array:
    """Matrix that blurs, magnifies and crops images with margins, all at once."""
    rows = _spread_axis(height, blur[0], magnification[0])
    columns = _spread_axis(width, blur[1], magnification[1])
    return csr_array(kron(rows, columns, format="csr"))


def _spread_axis(size: int, sigma: float, magnification: float) -> Fields:
    source = np.arange(size + 2 * MARGIN) - (size + 2 * MARGIN - 1) / 2
    target = (np.arange(size) - (size - 1) / 2) / magnification
    distance = np.abs(target[:, None] - source)
    weights = np.where(distance < 4 * sigma, np.exp(-(distance**2) / (2 * sigma**2)), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


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
