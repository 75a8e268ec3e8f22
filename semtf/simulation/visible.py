"""How visible the case is: by how much the floor of a deeper hole is darker."""

import dataclasses

import numpy as np

from semtf.cases import CHALLENGE
from semtf.config import SHAPE
from semtf.simulation.geometry import MARGIN, draw_structures
from semtf.simulation.holes import HoleModel
from semtf.simulation.microscope import Microscope
from semtf.simulation.rendering import Scene, hole_depth, visibility

REACH = 3
"""Half the side of the square in the middle of the floor that is looked at, in pixels."""


def floor_visibility(holes: HoleModel, microscope: Microscope) -> list[float]:
    """V of the middle of the floor in cases 1 to 4, of a smooth hole of the first kind, to the
    microscope's power."""
    plain = dataclasses.replace(
        holes,
        crop_sigma=0.0,
        centre_sigma=0.0,
        rotation_sigma=0.0,
        roughness=0.0,
        coarse_roughness=0.0,
        floor_sigma=0.0,
        tilt=0.0,
        residue=0.0,
    )
    axes = np.array(holes.half_axes[:1], np.float32)
    scene = Scene.of(draw_structures(np.random.default_rng(0), axes, model=plain))
    row, column = (size // 2 + MARGIN for size in SHAPE)
    middle = (0, slice(row - REACH, row + REACH), slice(column - REACH, column + REACH))
    fields = (visibility(scene, hole_depth(case), microscope)[middle] for case in CHALLENGE)
    return [float(field.mean()) ** microscope.visibility_power for field in fields]


def case_step(holes: HoleModel, microscope: Microscope) -> float:
    """Relative fall of the floor's signal from case 1 to case 2, before the tone curve."""
    floor = microscope.visibility_floor
    first, second, *_ = (floor + (1 - floor) * v for v in floor_visibility(holes, microscope))
    return 1 - second / first
