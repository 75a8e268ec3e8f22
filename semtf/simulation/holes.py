"""Constants of drawn contact holes: form, size, wall, floor, and how much they vary."""

from dataclasses import dataclass
from typing import Literal

from semtf.errors import InputError

Form = Literal["superellipse", "stadium"]


@dataclass(frozen=True)
class HoleModel:
    """Constants of the drawn holes; lengths in pixels, heights as fractions of the hole depth.

    Pairs of numbers are (rows, columns); angles are in degrees, clockwise as displayed.

    Attributes:
        form: ``"superellipse"`` of an exponent (2 is an ellipse), or ``"stadium"``: two half
            circles joined by straight edges.
        half_axes, shares: of each kind of hole, and which share of the holes is of it.
        axis_sigma, crop_sigma: standard deviations of the half-axes between sites, and within one.
        centre_sigma: of the centre, in both directions.
        rotation, rotation_sigma: by which the holes are turned, and its standard deviation.
        egg: relative growth of the width from the middle towards the lower end.
        skew: relative growth of the right half's width, which the left half lacks.
        roughness, roughness_length: standard deviation of the edge, and the length along it at
            which its correlation has fallen to 1/e.
        coarse_roughness, coarse_length: of a second, independent roughness.
        wall, wall_length, wall_power: height and form of the wall,
            ``wall·(1 − exp(−(d/length)^power))`` at a distance d inside the edge.
        bowl: height of the floor's bowl, ``bowl·(d/a)²`` with the half-axis a along the columns.
        floor_sigma, floor_length: relative bumps of the floor and their correlation length.
        tilt: standard deviation of the floor's relative slope, from the middle to the border.
        residue, residue_height, residue_size: mean number of grains a hole, their mean height
            and the standard deviation of their Gaussian form.
    """

    form: Form = "superellipse"
    exponent: float = 2.75
    half_axes: tuple[tuple[float, float], ...] = ((28.08, 17.03), (28.38, 18.05))
    shares: tuple[float, ...] = (0.7, 0.3)
    axis_sigma: tuple[float, float] = (0.52, 0.25)
    crop_sigma: float = 0.1
    centre_sigma: float = 0.5
    rotation: float = 0.0
    rotation_sigma: float = 0.0
    egg: float = 0.0
    skew: float = 0.0
    roughness: float = 0.35
    roughness_length: float = 8.0
    coarse_roughness: float = 0.0
    coarse_length: float = 20.0
    wall: float = 0.930
    wall_length: float = 3.68
    wall_power: float = 1.94
    bowl: float = 0.1284
    floor_sigma: float = 0.023
    floor_length: float = 7.0
    tilt: float = 0.012
    residue: float = 0.0
    residue_height: float = 0.25
    residue_size: float = 2.5

    def __post_init__(self) -> None:
        if not self.half_axes or len(self.half_axes) != len(self.shares):
            raise InputError("holes: half_axes and shares must be as many, and at least one")
        if any(len(pair) != 2 for pair in (*self.half_axes, self.axis_sigma)):
            raise InputError("holes: half_axes and axis_sigma are pairs (rows, columns)")
        lengths = ("exponent", "wall_length", "wall_power", "roughness_length", "coarse_length")
        for name in (*lengths, "floor_length", "residue_size"):
            if getattr(self, name) <= 0:
                raise InputError(f"holes.{name} {getattr(self, name)}: must be positive")
        if min(*self.shares, *(axis for pair in self.half_axes for axis in pair)) <= 0:
            raise InputError("holes: half_axes and shares must be positive")


HOLE = HoleModel()

FAB_OVAL = HoleModel(
    exponent=2.0,
    half_axes=((25.1, 14.05),),
    shares=(1.0,),
    rotation=12.0,
    rotation_sigma=1.5,
    egg=0.10,
    skew=0.08,
    roughness=0.23,
    wall=0.98,
    wall_length=4.65,
    bowl=0.03,
    floor_sigma=0.02,
)
"""Holes as a real fab shows them: tilted, asymmetric ovals of 50 × 28 px, walls of 3.8 px from
20 to 80 % of their height, edges rough by 0.23 px, an almost flat floor."""
