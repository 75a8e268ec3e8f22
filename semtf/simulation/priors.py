"""From which distributions the random fabs are drawn, as data.

Every value has a stream of random numbers of its own, named after it: a prior that is added or
changed leaves all other values of a seed as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np

from semtf.simulation.structure_source import FAB, stream

Value = float | str
Owner = Literal["holes", "simulator", "fab"]
Values = dict[str, Value]

DIGITS = 4
"""Significant digits of drawn numbers."""


@dataclass(frozen=True)
class Prior:
    """A distribution of one value.

    Attributes:
        kind: ``"uniform"`` or ``"log-uniform"`` between ``low`` and ``high``, or ``"choice"`` of
            one of ``options``, all equally likely.
        absent: probability that the effect is absent: the value is then ``off``.
    """

    kind: Literal["uniform", "log-uniform", "choice"]
    low: float = 0.0
    high: float = 0.0
    options: tuple[str, ...] = ()
    absent: float = 0.0
    off: float = 0.0

    def draw(self, rng: np.random.Generator) -> Value:
        """One value; numbers have `DIGITS` significant digits."""
        share, absent = rng.random(), rng.random() < self.absent
        if self.kind == "choice":
            return self.options[int(share * len(self.options))]
        if absent:
            return self.off
        if self.kind == "log-uniform":
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return float(f"{value:.{DIGITS}g}")

    def __str__(self) -> str:
        if self.kind == "choice":
            counts = {option: self.options.count(option) for option in self.options}
            return ", ".join(f"{o} ({n}×)" if n > 1 else o for o, n in counts.items())
        text = f"{self.low:g} to {self.high:g}"
        if self.kind == "log-uniform":
            text += ", log"
        return f"{text}; {self.off:g} in {self.absent:.0%}" if self.absent else text


@dataclass(frozen=True)
class Quantity:
    """One drawn quantity: its unit and meaning, and its prior for each of those that have it."""

    name: str
    unit: str
    meaning: str
    priors: Mapping[Owner, Prior]


def _uniform(low: float, high: float, absent: float = 0.0, off: float = 0.0) -> Prior:
    return Prior("uniform", low, high, absent=absent, off=off)


def _log(low: float, high: float, absent: float = 0.0) -> Prior:
    return Prior("log-uniform", low, high, absent=absent)


def _one_of(*options: str) -> Prior:
    return Prior("choice", options=options)


def _holes(name: str, unit: str, meaning: str, prior: Prior) -> Quantity:
    return Quantity(name, unit, meaning, {"holes": prior})


def _both(name: str, unit: str, meaning: str, simulator: Prior, fab: Prior) -> Quantity:
    return Quantity(name, unit, meaning, {"simulator": simulator, "fab": fab})


def _fab(name: str, unit: str, meaning: str, prior: Prior) -> Quantity:
    return Quantity(name, unit, meaning, {"fab": prior})


FAMILIES = (
    *("superellipse", "stadium", "ellipse", "round", "egg"),
    *("tilted",) * 2,
    *("fab-oval",) * 3,
)

STRUCTURES: tuple[Quantity, ...] = (
    _holes("family", "", "form of the holes", _one_of(*FAMILIES)),
    _holes("long", "px", "half-axis along the rows", _uniform(20, 29)),
    _holes("short", "px", "half-axis along the columns", _uniform(12, 18.5)),
    _holes("radius", "px", "radius of round holes", _uniform(13, 19)),
    _holes("exponent", "", "of superellipses", _uniform(2.3, 3.5)),
    _holes("egg", "", "of eggs and ovals, see below", _uniform(0.08, 0.25)),
    _holes("skew", "", "of eggs and ovals, see below", _uniform(0.03, 0.12)),
    _holes("turn", "°", "by which ovals are turned", _uniform(6, 22)),
    _holes("lean", "", "to which side their upper end leans", _one_of("left", "right")),
    _holes("turn spread", "°", "σ of the turn, from hole to hole", _log(0.3, 5)),
    _holes(
        "second kind", "px", "half-axes of a second kind less the first's", _uniform(-2, 2, 0.5)
    ),
    _holes("first share", "", "share of holes of the first kind", _uniform(0.5, 0.85)),
    _holes("site spread", "px", "σ of the half-axes between sites", _log(0.15, 1.6)),
    _holes("crop spread", "px", "σ of the half-axes within a site", _log(0.05, 0.8)),
    _holes("centre spread", "px", "σ of the centre", _log(0.3, 3)),
    _holes("roughness", "px", "σ of the edge", _log(0.1, 0.6)),
    _holes("roughness length", "px", "its correlation length", _log(3, 20)),
    _holes("coarse roughness", "px", "σ of a second one", _log(0.1, 0.6, 0.5)),
    _holes("coarse length", "px", "its correlation length", _log(15, 40)),
    _holes("wall", "px", "from the edge to 95 % of the wall's height", _uniform(2, 10)),
    _holes("wall power", "", "form of the wall", _uniform(1.4, 2.6)),
    _holes("bowl", "", "height of the floor's bowl over the depth", _uniform(0.03, 0.25, 0.3)),
    _holes("bumps", "", "σ of the floor over the depth", _log(0.005, 0.06, 0.25)),
    _holes("bump length", "px", "their correlation length", _uniform(4, 12)),
    _holes("tilt", "", "σ of the floor's slope", _log(0.003, 0.04)),
    _holes("residue", "", "mean number of grains a hole", _uniform(0.3, 2, 0.6)),
    _holes("residue height", "", "their mean height over the depth", _uniform(0.1, 0.4)),
    _holes("residue size", "px", "σ of a grain", _uniform(1.5, 3.5)),
)
"""What is drawn of the structures."""

SHADOWS = _one_of("sky", "solid", "blur")

MICROSCOPES: tuple[Quantity, ...] = (
    _both("shadow", "", "model of shadows", SHADOWS, SHADOWS),
    _both(
        "visibility power", "", "power of the visibility", _uniform(0.6, 1.5), _uniform(0.6, 1.6)
    ),
    _both(
        "case step",
        "",
        "how far the floor's signal falls from a case to the next, at most",
        _log(0.03, 0.15),
        _log(0.015, 0.15),
    ),
    _both("tilt power", "", "power of the tilt yield", _uniform(0.3, 1), _uniform(0.2, 1.2)),
    _both("tilt cap", "", "its cap", _uniform(1.02, 1.5), _uniform(1.02, 1.8)),
    _both("bloom", "", "edge bloom", _uniform(0.1, 0.9), _uniform(0.1, 0.9, 0.15)),
    _both("bloom length", "px", "its decay length", _uniform(2.5, 8), _uniform(2.5, 10)),
    _fab("asymmetry", "", "gain of the detector's side", _uniform(0.1, 0.8, 0.3)),
    _fab("detector", "°", "the detector's side", _uniform(-180, 180)),
    _both("blur", "px", "point spread, σ along the rows", _log(0.7, 1.6), _log(0.7, 2.2)),
    _fab("blur ratio", "", "σ along the columns over it", _uniform(0.7, 1.5, 0.3, 1.0)),
    _fab("blur turn", "°", "turn of the point spread", _uniform(-45, 45)),
    _fab("haze", "", "share of the signal in wide tails", _uniform(0.03, 0.3, 0.3)),
    _fab("haze length", "px", "their σ", _uniform(6, 20)),
    _fab("magnification, rows", "", "over the simulator's", _uniform(0.95, 1.06)),
    _fab("magnification, columns", "", "over the simulator's", _uniform(0.95, 1.06)),
    _fab("rotation", "°", "of the scan", _uniform(-2, 2)),
    _fab("shear", "px/row", "of the scan, from drift", _uniform(-0.03, 0.03, 0.3)),
    _fab("shift, rows", "px", "of the scan", _uniform(-2, 2)),
    _fab("shift, columns", "px", "of the scan", _uniform(-2, 2)),
    _both("gamma", "", "exponent of the tone curve", _log(0.8, 1.25), _log(0.5, 1.5)),
    _fab("offset", "", "of the tone curve, over the floor's response", _uniform(-0.6, 0.6)),
    _both(
        "dose",
        "e/px",
        "a tenth to ten times the presets'",
        _log(15.3, 1530),
        _log(125, 12500),
    ),
    _both("white noise", "", "σ over the plate", _log(0.003, 0.04), _log(0.003, 0.04, 0.2)),
    _fab("correlated noise", "", "σ over the plate", _log(0.003, 0.03, 0.4)),
    _fab("correlation length", "px", "of that noise", _uniform(2, 8)),
    _fab("jitter", "px", "σ of the row shift", _uniform(0.1, 0.5, 0.4)),
    _fab("jitter memory", "", "from row to row", _uniform(0.5, 0.95)),
    _fab("charging", "", "share of the tail", _uniform(0.05, 0.35, 0.35)),
    _fab("charging pole", "", "its memory", _uniform(0.8, 0.96)),
    _fab("line gain", "", "σ of a row's gain", _log(0.001, 0.01, 0.4)),
)
"""What is drawn of the microscopes; what only the fab has, the simulator's lacks."""


def draw_values(seed: int) -> dict[Owner, Values]:
    """All values of a seed's fab, by owner and name."""
    drawn: dict[Owner, Values] = {"holes": {}, "simulator": {}, "fab": {}}
    for quantity in (*STRUCTURES, *MICROSCOPES):
        for owner, prior in quantity.priors.items():
            key = crc32(f"{owner}.{quantity.name}".encode())
            drawn[owner][quantity.name] = prior.draw(stream(seed, FAB, key))
    return drawn


def table() -> str:
    """The priors as two Markdown tables."""
    lines = ["| structures | prior | unit | meaning |", "|---|---|---|---|"]
    lines += [f"| {q.name} | {q.priors['holes']} | {q.unit} | {q.meaning} |" for q in STRUCTURES]
    lines += ["", "| microscopes | simulator | fab | unit | meaning |", "|" + "---|" * 5]
    for one in MICROSCOPES:
        simulator = one.priors.get("simulator", "–")
        lines.append(
            f"| {one.name} | {simulator} | {one.priors['fab']} | {one.unit} | {one.meaning} |"
        )
    return "\n".join(lines)
