"""From structures to 8-bit images: what a microscope makes of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semtf.cases import Case
from semtf.simulation.geometry import FLOOR_LEVEL, MARGIN, Fields, Structures
from semtf.simulation.microscope import LEVELS_PER_PIXEL, Microscope
from semtf.simulation.optics import hazed, imaging
from semtf.simulation.scan import expose, normalise
from semtf.simulation.shadowing import Horizon, horizon, relief


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
    if microscope.haze:
        signal = hazed(signal, microscope.haze, microscope.haze_length)
    spread = imaging(height, width, microscope)
    image = (spread @ signal.reshape(count, -1).T).T.reshape(count, height, width)
    response = image ** np.float32(microscope.contrast)
    return (response - microscope.black) / (1 - microscope.black)


def emission(scene: Scene, depth: float, microscope: Microscope) -> Fields:
    """Detected signal of each point, with margins, for a hole depth in pixels."""
    rows, columns = scene.gradient
    steepness = 1 + depth**2 * (rows**2 + columns**2)
    signal = np.minimum(steepness ** (microscope.tilt_power / 2), microscope.tilt_cap)
    visible = visibility(scene, depth, microscope) ** np.float32(microscope.visibility_power)
    signal *= microscope.visibility_floor + (1 - microscope.visibility_floor) * visible
    distance = scene.structures.distance
    outside = np.clip(0.5 - distance, 0.0, 1.0)
    glow = np.exp(np.minimum(distance, 0.0) / np.float32(microscope.bloom_length))
    signal *= 1 + microscope.bloom * outside * glow
    if microscope.asymmetry:
        side = _towards(microscope.detector, rows, columns)
        signal *= 1 + microscope.asymmetry * depth * side / np.sqrt(steepness)
    return signal


def visibility(scene: Scene, depth: float, microscope: Microscope) -> Fields:
    """V of each point, with margins, by the microscope's model of shadows."""
    if microscope.shadow == "blur":
        return relief(scene.structures.shape, depth)
    if microscope.shadow == "solid":
        return scene.horizon.solid_angle(depth)
    return scene.horizon.visibility(depth)


def _towards(angle: float, rows: Fields, columns: Fields) -> Fields:
    """The component of a gradient in a direction: 0 is +column, 90 degrees +row."""
    if not angle:
        return columns
    sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    return np.float32(cos) * columns + np.float32(sin) * rows
