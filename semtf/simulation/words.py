"""A fab's holes and microscopes in words, for those who read a result."""

import math

from semtf.simulation.holes import HoleModel
from semtf.simulation.microscope import SIMULATOR, STRUCT, Microscope

SHADOWS = {"sky": "sky-view", "solid": "solid-angle", "blur": "multi-scale blur"}
SIDES = ("right", "lower right", "bottom", "lower left", "left", "upper left", "top", "upper right")
STEPS = ((0.03, "faint"), (0.07, "visible"), (1.0, "plain"))
NEGLIGIBLE = 1e-3


def fab_in_words(
    holes: HoleModel,
    simulator: Microscope,
    microscope: Microscope,
    simulated_step: float,
    real_step: float,
) -> dict[str, str]:
    """Sentences about the structures, the simulator, the fab and how visible the case is.

    Args:
        holes: the structures.
        simulator: the simulator's microscope.
        microscope: the fab's.
        simulated_step, real_step: relative fall of the floor's signal from case 1 to case 2, as
            the simulator and the fab show it.
    """
    real, simulated = f"{_grade(real_step)} ({real_step:.1%}", f"{_grade(simulated_step)} ("
    simulated += f"{simulated_step:.1%})"
    return {
        "structures": f"{_form(holes)}; {_edge(holes)}; {_floor(holes)}; {_spread(holes)}.",
        "simulator": _microscope(simulator, SIMULATOR.dose),
        "fab": _microscope(microscope, STRUCT.dose),
        "case": f"Plate level {real} of the floor's signal a case), simulated {simulated}.",
    }


def _grade(step: float) -> str:
    return next(word for limit, word in STEPS if step <= limit)


def _form(holes: HoleModel) -> str:
    rows, columns = holes.half_axes[0]
    size = f"{2 * columns:.0f} × {2 * rows:.0f} px"
    if holes.form == "stadium":
        name = "Stadiums"
    elif holes.exponent != 2:
        name = f"Superellipses (exponent {holes.exponent:.1f})"
    else:
        name = "Round holes" if rows == columns else "Ovals" if holes.egg else "Ellipses"
    parts = [f"{name} of {size}"]
    if holes.egg or holes.skew:
        parts.append(f"egg-shaped by {holes.egg:.0%}, lopsided by {holes.skew:.0%}")
    if holes.rotation:
        side = "right" if holes.rotation > 0 else "left"
        parts.append(f"tilted by {abs(holes.rotation):.0f}° to the {side}")
    if len(holes.half_axes) > 1:
        other = " × ".join(f"{2 * axis:.0f}" for axis in reversed(holes.half_axes[1]))
        parts.append(f"{holes.shares[1] / sum(holes.shares):.0%} of another kind, {other} px")
    return ", ".join(parts)


def _edge(holes: HoleModel) -> str:
    power = 1 / holes.wall_power
    full = holes.wall_length * math.log(20) ** power
    middle = holes.wall_length * (math.log(5) ** power - math.log(1.25) ** power)
    text = f"walls of {full:.1f} px ({middle:.1f} px from 20 to 80 % of the height)"
    text += f", edges rough by {holes.roughness:.2f} px over {holes.roughness_length:.0f} px"
    if holes.coarse_roughness:
        text += f" and by {holes.coarse_roughness:.2f} px over {holes.coarse_length:.0f} px"
    return text


def _floor(holes: HoleModel) -> str:
    bumps = f"bumps of {holes.floor_sigma:.1%}" if holes.floor_sigma else "no bumps"
    bowl = f"bowl of {holes.bowl:.0%}" if holes.bowl else "flat floor"
    if not holes.residue:
        return f"{bowl} with {bumps}, no residue"
    grains = f"{holes.residue:.1f} grains a hole of {holes.residue_height:.0%} height"
    return f"{bowl} with {bumps}, residue ({grains})"


def _spread(holes: HoleModel) -> str:
    return (
        f"half-axes vary by {holes.axis_sigma[0]:.2f} px between sites and {holes.crop_sigma:.2f} "
        f"px within one, centres by {holes.centre_sigma:.1f} px, tilts by "
        f"{holes.rotation_sigma:.1f}°"
    )


def _microscope(kind: Microscope, usual: float) -> str:
    """One sentence; effects that are absent go unnamed."""
    rows, columns = kind.blur
    spread = f"{rows:.1f} px" if rows == columns else f"{rows:.1f} × {columns:.1f} px"
    if rows != columns:
        spread += f" turned by {kind.blur_angle:.0f}°"
    parts = [
        f"{SHADOWS[kind.shadow]} shadows to the power {kind.visibility_power:.2f}",
        f"point spread {spread}",
        f"tilt yield up to {kind.tilt_cap:.2f}",
        *_shading(kind),
        *_geometry(kind),
        *_tones(kind),
        f"dose {kind.dose:.0f} e/px ({kind.dose / usual:.1f} × the usual)",
        *_noise(kind),
    ]
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _shading(kind: Microscope) -> list[str]:
    parts = []
    if kind.bloom:
        parts.append(f"edge bloom {kind.bloom:.2f} over {kind.bloom_length:.1f} px")
    if kind.asymmetry:
        side = SIDES[round(kind.detector / 45) % 8]
        parts.append(f"detector at the {side} ({kind.asymmetry:.2f})")
    if kind.haze:
        parts.append(f"haze of {kind.haze:.0%} over {kind.haze_length:.0f} px")
    return parts


def _geometry(kind: Microscope) -> list[str]:
    parts = []
    if kind.magnification != (1, 1):
        parts.append("magnified {:.3f} × {:.3f}".format(*kind.magnification))
    if any(kind.shift):
        parts.append("shifted by {:+.1f}, {:+.1f} px".format(*kind.shift))
    if kind.rotation:
        parts.append(f"rotated by {kind.rotation:+.1f}°")
    if kind.shear:
        parts.append(f"sheared by {kind.shear:+.3f}")
    return parts


def _tones(kind: Microscope) -> list[str]:
    parts = []
    if kind.contrast != 1:
        parts.append(f"gamma {kind.contrast:.2f}")
    if abs(kind.black) > NEGLIGIBLE:
        parts.append(f"offset {-kind.black:+.2f}")
    return parts


def _noise(kind: Microscope) -> list[str]:
    parts = []
    if kind.read_noise:
        parts.append(f"white noise {kind.read_noise:.1%}")
    if kind.correlated_noise:
        size = f"{kind.correlated_noise:.1%} over {kind.correlation_length:.0f} px"
        parts.append(f"correlated noise {size}")
    if kind.jitter:
        parts.append(f"row jitter {kind.jitter:.1f} px")
    if kind.charging:
        parts.append(f"charging tails of {kind.charging:.0%}")
    if kind.line_noise:
        parts.append(f"line gain {kind.line_noise:.1%}")
    return parts
