"""Constants of two SEMs, the simulator's and the fab's.

Phenomenological, of the class of artificial SEM images that metrology accepts for benchmarking
algorithms (P. Cizmar et al., "Simulated SEM images for resolution measurement", Scanning 30,
2008); it makes no absolute claim, for which Monte Carlo simulation is needed. Lengths are
nominal, in pixels, and intensities are relative to a flat plate.
"""

from dataclasses import dataclass, replace
from typing import Literal

from semtf.errors import InputError

LEVELS_PER_PIXEL = 2.47
"""Grey levels of depth that are as long as one pixel is wide."""

Shadow = Literal["sky", "solid", "blur"]


@dataclass(frozen=True)
class Microscope:
    """Constants of a microscope; angles are in degrees, clockwise as displayed.

    Attributes:
        tilt_power, tilt_cap: yield of a slope θ: ``min((1/cos θ)^power, cap)``.
        shadow: what the walls hide of a point: ``"sky"``, the share V of a cosine-weighted sky
            that it sees; ``"solid"``, the share of the solid angle; ``"blur"``, how far it lies
            below its surroundings at several scales (`semtf.simulation.shadowing`).
        visibility_power, visibility_floor: signal of a point with visibility V:
            ``floor + (1 − floor)·V^power``.
        bloom, bloom_length: brightening outside the edge, ``1 + bloom·exp(−d/length)``.
        asymmetry, detector: relative gain of a wall that faces the detector, ``1 + a·n`` with
            the surface normal's component n towards the detector's side: 0 is right, 90 below.
        blur, blur_angle: Gaussian point spread (rows, columns), standard deviations in pixels,
            and by how much it is turned.
        haze, haze_length: share of the signal that a wide Gaussian of this standard deviation
            in pixels takes away and spreads.
        magnification, rotation, shear, shift: the scan's geometry about the image's centre, in
            this order: (rows, columns); degrees; columns a row, from drift; (rows, columns) pixels.
            The shear comes before the rotation.
        contrast, black: the detector's response, ``(I^contrast − black)/(1 − black)``.
        dose: electrons a pixel of a flat plate.
        read_noise: standard deviation of white noise, relative to a flat plate.
        correlated_noise, correlation_length: standard deviation of smooth noise, and the distance
            in pixels at which its correlation has fallen to 1/e.
        jitter, jitter_memory: row shift in pixels (standard deviation) and its AR(1) coefficient.
        charging, charging_pole: tail ``I − g·IIR(I − mean)`` along the scan, one-pole filter.
        line_noise: standard deviation of each row's gain.
    """

    tilt_power: float = 0.65
    tilt_cap: float = 1.06
    shadow: Shadow = "sky"
    visibility_power: float = 0.97
    visibility_floor: float = 0.062
    bloom: float = 0.685
    bloom_length: float = 4.6
    asymmetry: float = 0.0
    detector: float = 0.0
    blur: tuple[float, float] = (1.05, 1.05)
    blur_angle: float = 0.0
    haze: float = 0.0
    haze_length: float = 12.0
    magnification: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    shear: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    contrast: float = 1.0
    black: float = 0.0
    dose: float = 153.0
    read_noise: float = 0.0165
    correlated_noise: float = 0.0
    correlation_length: float = 4.0
    jitter: float = 0.0
    jitter_memory: float = 0.85
    charging: float = 0.0
    charging_pole: float = 0.9
    line_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("blur", "magnification", "shift"):
            if len(getattr(self, name)) != 2:
                raise InputError(f"microscope.{name}: is a pair (rows, columns)")
        positive = ("bloom_length", "haze_length", "contrast", "dose", "correlation_length")
        for name in ("blur", "magnification", *positive):
            value = getattr(self, name)
            if min(value if isinstance(value, tuple) else (value,)) <= 0:
                raise InputError(f"microscope.{name} {value}: must be positive")
        for name in ("jitter_memory", "charging_pole"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"microscope.{name} {getattr(self, name)}: must be in [0, 1)")
        if self.black >= 1:
            raise InputError(f"microscope.black {self.black}: must be below 1")


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
