"""The zoo of fabs: each seed is another one, drawn from the priors."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np

from semtf.config import SHAPE
from semtf.errors import InputError
from semtf.simulation.contour import CONTOUR_POINTS, contour
from semtf.simulation.fabs import PRESETS, Fab, read_fab
from semtf.simulation.holes import FAB_OVAL, Form, HoleModel
from semtf.simulation.microscope import Microscope, Shadow
from semtf.simulation.optics import distortion
from semtf.simulation.priors import Values, draw_values
from semtf.simulation.visible import floor_visibility

RANDOM = "random"
BORDER = 1.0
"""Pixels of plate that are left between the largest holes and the image's border."""

SPREAD = 2.0
"""Standard deviations of centre, size and turn for which there is room."""

LEAST, MOST = 0.04, 0.6
"""Between these lies the signal of a point that sees nothing, of a drawn microscope."""


def open_fab(fab: str | Path, seed: int) -> Fab:
    """A fab by name, or from a file.

    Args:
        fab: ``dose``, ``tonal``, ``struct``, ``random`` or the path of a ``fab.json``.
        seed: of a random one.

    Raises:
        InputError: no such fab, or a file that cannot be read.
    """
    if fab == RANDOM:
        return draw_fab(seed)
    if str(fab) in PRESETS:
        return PRESETS[str(fab)]
    if Path(fab).suffix == ".json":
        return read_fab(Path(fab))
    names = ", ".join([*PRESETS, RANDOM])
    raise InputError(f"--fab {fab}: no such fab; choose one of {names}, or a fab.json")


def draw_fab(seed: int) -> Fab:
    """The zoo's fab of a seed."""
    drawn = draw_values(seed)
    simulator, microscope = _microscope(drawn["simulator"]), _microscope(drawn["fab"])
    holes = _fitted(_holes(drawn["holes"]), microscope)
    return Fab(
        f"{RANDOM} {seed}",
        holes,
        _stepping(simulator, holes, drawn["simulator"]),
        _stepping(microscope, holes, drawn["fab"]),
    )


def _holes(values: Values) -> HoleModel:
    family = str(values["family"])
    given = {name: value for name, value in values.items() if not isinstance(value, str)}
    spread, crop = given["site spread"], given["crop spread"]
    turn, turned = given["turn"], family in ("tilted", "fab-oval")
    varied: dict[str, Any] = {
        "axis_sigma": (spread, spread / 2),
        "crop_sigma": crop,
        "centre_sigma": given["centre spread"],
        "rotation": (turn if values["lean"] == "right" else -turn) if turned else 0.0,
        "rotation_sigma": given["turn spread"] if family != "round" else 0.0,
        "roughness_length": given["roughness length"],
        "tilt": given["tilt"],
        "residue": given["residue"],
        "residue_height": given["residue height"],
        "residue_size": given["residue size"],
    }
    if family == "fab-oval":
        return dataclasses.replace(FAB_OVAL, **varied)
    first = (given["long"], given["short"])
    if family == "round":
        first = (given["radius"], given["radius"])
    kinds: tuple[tuple[float, float], ...] = (first,)
    shares: tuple[float, ...] = (1.0,)
    if second := given["second kind"]:
        kinds += ((first[0] + second, first[1] + second),)
        shares = (given["first share"], 1 - given["first share"])
    form: Form = "stadium" if family == "stadium" else "superellipse"
    return HoleModel(
        form=form,
        exponent=given["exponent"] if family == "superellipse" else 2.0,
        half_axes=kinds,
        shares=shares,
        egg=given["egg"] if family in ("egg", "tilted") else 0.0,
        skew=given["skew"] if family in ("egg", "tilted") else 0.0,
        roughness=given["roughness"],
        coarse_roughness=given["coarse roughness"],
        coarse_length=given["coarse length"],
        wall=1.03 - 0.75 * given["bowl"],
        wall_length=given["wall"] / np.log(20) ** (1 / given["wall power"]),
        wall_power=given["wall power"],
        bowl=given["bowl"],
        floor_sigma=given["bumps"],
        floor_length=given["bump length"],
        **varied,
    )


def _microscope(values: Values) -> Microscope:
    """A microscope of drawn values; what is not among them is as good as absent."""
    given: dict[str, float] = {n: v for n, v in values.items() if not isinstance(v, str)}
    blur = given["blur"]
    return Microscope(
        tilt_power=given["tilt power"],
        tilt_cap=given["tilt cap"],
        shadow=cast(Shadow, values["shadow"]),
        visibility_power=given["visibility power"],
        bloom=given["bloom"],
        bloom_length=given["bloom length"],
        asymmetry=given.get("asymmetry", 0.0),
        detector=given.get("detector", 0.0),
        blur=(blur, blur * given.get("blur ratio", 1.0)),
        blur_angle=given.get("blur turn", 0.0) if given.get("blur ratio", 1.0) != 1 else 0.0,
        haze=given.get("haze", 0.0),
        haze_length=given.get("haze length", Microscope.haze_length),
        magnification=(
            given.get("magnification, rows", 1.0),
            given.get("magnification, columns", 1.0),
        ),
        rotation=given.get("rotation", 0.0),
        shear=given.get("shear", 0.0),
        shift=(given.get("shift, rows", 0.0), given.get("shift, columns", 0.0)),
        contrast=given["gamma"],
        dose=given["dose"],
        read_noise=given["white noise"],
        correlated_noise=given.get("correlated noise", 0.0),
        correlation_length=given.get("correlation length", Microscope.correlation_length),
        jitter=given.get("jitter", 0.0),
        jitter_memory=given.get("jitter memory", Microscope.jitter_memory),
        charging=given.get("charging", 0.0),
        charging_pole=given.get("charging pole", Microscope.charging_pole),
        line_noise=given.get("line gain", 0.0),
    )


def _fitted(holes: HoleModel, microscope: Microscope) -> HoleModel:
    """Holes made small enough, if need be, to lie in the crop as either microscope shows them."""
    room = np.array(SHAPE) / 2 - BORDER
    matrix = distortion(microscope.magnification, microscope.rotation, microscope.shear)
    spread = SPREAD * (np.array(holes.axis_sigma) + holes.crop_sigma + holes.centre_sigma)
    size = np.zeros(2)
    for axes in holes.half_axes:
        for side in (-SPREAD, SPREAD):
            turn = holes.rotation + side * holes.rotation_sigma
            flat = np.zeros(CONTOUR_POINTS)
            outline = contour(np.array(axes), np.zeros(2), flat, turn, holes)
            for shown in (outline, outline @ matrix.T):
                size = np.maximum(size, np.abs(shown).max(axis=0))
    free = room - np.abs(microscope.shift) - spread
    scale = min(1.0, float((free / size).min()))
    kinds = tuple((row * scale, column * scale) for row, column in holes.half_axes)
    return dataclasses.replace(holes, half_axes=kinds)


def _stepping(microscope: Microscope, holes: HoleModel, values: Values) -> Microscope:
    """A microscope whose floor's signal falls by the drawn share from case 1 to case 2, as far as
    its shadows allow, and whose tone curve has the drawn offset."""
    step, offset = float(values["case step"]), float(values.get("offset", 0.0))
    first, second, *_, last = floor_visibility(holes, microscope)
    # The floor f solves (1 − f)(first − second) = step·(f + (1 − f)·first).
    fall = first - second
    floor = (fall - step * first) / (step * (1 - first) + fall)
    floor = float(np.clip(floor, LEAST, MOST))
    response = (floor + (1 - floor) * last) ** microscope.contrast
    return dataclasses.replace(
        microscope, visibility_floor=_rounded(floor), black=_rounded(offset * response)
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
