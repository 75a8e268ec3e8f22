"""What is unlike the challenge's data, what to do about it, and how hard adaptation will be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semtf.config import SHAPE
from semtf.data.network_scale import FULL_SCALE

if TYPE_CHECKING:
    from semtf.analysis.analysis import CaseAnalysis, Numbers

FEWEST_SITES, FEWEST_FAB, FEWEST_PAIRS = 8, 200, 500
RECURRING = 0.95
TOLD_APART = 0.8
MAGNIFICATION = 0.1
SHIFT = 2.0
COMMON_MAXIMUM = 0.99
LAW = 1.0
AS_OWN = 1.25
"""Mismatch of the fab's images over that of the simulator's own, up to which microscopes count as
alike."""
CURVE_HELPS = 0.2
"""Share of the mismatch that a grey curve must remove to be worth it."""


@dataclass(frozen=True)
class Finding:
    """One property in which a data set differs from the challenge's.

    Attributes:
        topic: one word for it.
        cases: the cases it was found in; empty where it holds for all.
        text: the difference, in words.
        remedy: what to do about it.
    """

    topic: str
    cases: tuple[int, ...]
    text: str
    remedy: str


@dataclass(frozen=True)
class Difficulty:
    """How hard adaptation will be.

    Attributes:
        level: ``none``, ``grey curve`` or ``trained``.
        gap: mismatch of fab images with simulator images over that of the simulator's own, 1 where
            both microscopes are alike; the mean over cases.
        explained: the share of that mismatch that one grey curve removes; the mean over cases.
        text: the estimate in words.
        adapter: the adapter to begin with.
    """

    level: str
    gap: float
    explained: float
    text: str
    adapter: str


def find(numbers: "Numbers") -> list[Finding]:
    """All findings, those that stop training first."""
    return [*_polarity(numbers.cases), *_size(numbers), *_amount(numbers), *_holes(numbers),
            *_levels(numbers.cases)]  # fmt: skip


def _size(numbers: "Numbers") -> Iterator[Finding]:
    shape = (numbers.files.rows, numbers.files.columns)
    if shape != SHAPE:
        yield Finding(
            "size",
            (),
            f"images have {shape[0]} × {shape[1]} pixels, the challenge's {SHAPE[0]} × {SHAPE[1]}",
            f"train with --size {shape[0]},{shape[1]}; both must be multiples of 8, so crop at "
            "need. Published figures do not carry over to another size.",
        )


def _polarity(cases: Mapping[int, "CaseAnalysis"]) -> Iterator[Finding]:
    bright = tuple(k for k, c in cases.items() if c.geometry.simulator_polarity < 0)
    if bright:
        yield Finding(
            "polarity",
            bright,
            "holes are brighter than the plate in the simulator's images, or depth maps are "
            "inverted",
            "a smaller depth value must be deeper: invert the depth maps (255 − x) where they are "
            "the other way round; bright holes themselves do no harm",
        )
    opposite = tuple(k for k, c in cases.items() if c.geometry.fab_polarity < 0)
    if opposite:
        yield Finding(
            "polarity",
            opposite,
            "the fab's images have the contrast of the simulator's reversed",
            "invert one of the two (255 − x) before training; no adapter should have to learn it",
        )


def _amount(numbers: "Numbers") -> Iterator[Finding]:
    cases = numbers.cases
    few = tuple(k for k, c in cases.items() if c.counts.sites < FEWEST_SITES)
    if few:
        yield Finding(
            "sites",
            few,
            f"fewer than {FEWEST_SITES} sites of the fab",
            "crops of a site are alike: take images of more places of the wafer. Until then the "
            "classifier's accuracy and all intervals over sites are rough.",
        )
    small = tuple(
        k for k, c in cases.items() if c.counts.fab < FEWEST_FAB or c.counts.pairs < FEWEST_PAIRS
    )
    if small:
        yield Finding(
            "amount",
            small,
            f"fewer than {FEWEST_FAB} fab images or {FEWEST_PAIRS} pairs",
            "estimates come from stored pairs: more pairs (semtf add-pairs) lower the error, and "
            "an adapter needs some hundred fab images",
        )
    if numbers.files.recurring < RECURRING:
        yield Finding(
            "bases",
            (),
            f"{numbers.files.recurring:.0%} of the simulator's holes recur in all cases",
            "training needs no recurring holes; but the depth law cannot be checked, and a split "
            "by base does not separate cases that show other holes",
        )
    twice = tuple(k for k, c in cases.items() if c.counts.duplicate_fab or c.counts.duplicate_pairs)
    if twice or numbers.files.shared:
        yield Finding(
            "duplicates",
            twice,
            f"images occur more than once ({numbers.files.shared} fab images in several cases)",
            "remove the copies; the same image under two cases teaches the classifier both",
        )
    without = tuple(k for k, c in cases.items() if not c.counts.averages)
    if without:
        yield Finding(
            "averages",
            without,
            "no site has an average depth",
            "training does not need train/average_depth.csv; but nothing ties the fab's depth to "
            "the simulator's, and the hypothesis that both are the same stays unchecked",
        )


def _holes(numbers: "Numbers") -> Iterator[Finding]:
    cases = numbers.cases
    scaled = {
        k: c.geometry.magnification
        for k, c in cases.items()
        if abs(c.geometry.magnification - 1) > MAGNIFICATION
    }
    if scaled:
        factors = ", ".join(f"{value:.2f}" for value in scaled.values())
        yield Finding(
            "magnification",
            tuple(scaled),
            f"the fab's holes are {factors} times as wide as the simulator's",
            "resample one of the two to the pixel size of the other; an adapter that learns to "
            "stretch holes no longer keeps their depth maps in place",
        )
    moved = tuple(
        k
        for k, c in cases.items()
        if max(abs(c.geometry.rows_shift), abs(c.geometry.columns_shift)) > SHIFT
    )
    if moved:
        yield Finding(
            "shift",
            moved,
            f"the fab's holes lie more than {SHIFT:g} pixels away from the simulator's",
            "crop around the hole; the search looks 2 pixels far (--set retrieval.shift=N for "
            "more, at N² the cost)",
        )
    alike = {
        k: c.geometry.case_apart
        for k, c in cases.items()
        if c.geometry.case_apart is not None and c.geometry.case_apart < TOLD_APART
    }
    if alike:
        yield Finding(
            "cases",
            tuple(alike),
            "the fab's images are hard to tell from those of the next case: percentiles tell "
            + ", ".join(f"{share:.0%}" for share in alike.values()),
            "give the site of each image (semtf predict --sites): the images of a site vote. Look "
            "at the classifier's confusion before trusting depths near a change of case.",
        )


def _levels(cases: Mapping[int, "CaseAnalysis"]) -> Iterator[Finding]:
    odd = tuple(
        k
        for k, c in cases.items()
        if any(
            m.most_common != FULL_SCALE or m.share < COMMON_MAXIMUM
            for m in (c.maxima_simulator, c.maxima_fab)
        )
    )
    if odd:
        yield Finding(
            "maximum",
            odd,
            f"images are not scaled to a maximum of {FULL_SCALE:g}",
            f"where both domains are scaled alike it does no harm; else scale each image to "
            f"round({FULL_SCALE:g}·I/max I) before training and before prediction",
        )
    plates = tuple(k for k, c in cases.items() if c.plate.depth != c.plate.expected)
    if plates:
        yield Finding(
            "plate",
            plates,
            "depth maps have another plate level than the table of cases: "
            + ", ".join(
                f"{cases[k].plate.depth:g} and not {cases[k].plate.expected}" for k in plates
            ),
            "write the levels into cases.json at the top of the data set (docs/data.md)",
        )
    lawless = tuple(
        k for k, c in cases.items() if c.depth_law.exceptions or (c.depth_law.residual or 0.0) > LAW
    )
    if lawless:
        yield Finding(
            "depth law",
            lawless,
            "depth maps of one hole are not one shape scaled between floor and plate",
            "semtf does not rely on the law; but weights that blend two cases do, so look at the "
            "images that are flagged case_in_doubt",
        )


def judge(cases: Mapping[int, "CaseAnalysis"]) -> Difficulty:
    """Estimate how hard adaptation will be, from images alone.

    A fab image is compared with its most similar simulator image: as the simulator is, under one
    grey curve, and as simulator images of other holes are with one another.
    """
    gap = _mean([c.mismatch.fab / c.mismatch.own for c in cases.values()])
    after = _mean([c.mismatch.after_curve / c.mismatch.own for c in cases.values()])
    explained = _mean([c.grey_curve.mismatch for c in cases.values()])
    seen = (
        f"A fab image is {gap:.1f} times as far from its most similar simulator image as simulator "
        f"images of different holes are from one another; under one grey curve {after:.1f} times."
    )
    if explained >= CURVE_HELPS and after <= AS_OWN:
        return Difficulty(
            "grey curve",
            gap,
            explained,
            f"{seen} A grey curve does most of it: --adapter percentile fits in a second, and "
            "--adapter auto finds out whether a network does better.",
            "percentile",
        )
    if gap <= AS_OWN:
        return Difficulty(
            "none",
            gap,
            explained,
            f"{seen} There is little to adapt: compare --adapter none before training anything.",
            "none",
        )
    return Difficulty(
        "trained",
        gap,
        explained,
        f"{seen} A grey curve does not do: blur, shadows, noise or geometry differ, and a network "
        "has to learn them (the CycleGAN, which is the default; minutes with the preset quick).",
        "cyclegan",
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
