"""The average depths of the fab's sites against those of the simulator's depth maps.

The fab's averages are of whole fields of view, the simulator's of crops of one hole. The winning
recipe of the Samsung AI Challenge explains the difference by a margin of plate pixels around a
crop: ``(mean·pixels + plate·margin)/(pixels + margin)``. `fit_margin` finds it for each case;
`compare_offset` sets it against ``plate − c``, which knows nothing of depth maps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import stats

from semtf.analysis.bootstrap import interval

QUANTILES = (np.arange(512) + 0.5) / 512
REPLICATES = 2000
MOST_DRAWN = 2000
"""Of more depth maps so many are drawn: their mean is exact enough beside that of the sites."""
FEWEST_SITES = 2
SIGNIFICANCE = 0.05

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Averages:
    """Average depths of one case.

    Attributes:
        plate: level of the plate in the depth maps.
        pixels: of a depth map.
        simulator: mean of each of the simulator's depth maps, ``[n]``.
        sites: average depth of each site of the fab, ``[m]``.
    """

    plate: float
    pixels: int
    simulator: Floats
    sites: Floats


@dataclass(frozen=True)
class Margin:
    """The margin of one case, in pixels of plate around a crop.

    Attributes:
        fit: the margin at which both distributions are closest.
        low: the lower end of its 95 % interval.
        high: the upper end.
        sites: how many sites there are.
        before: 2-Wasserstein distance of the distributions without a margin, grey levels.
        after: the same with the fitted margin.
        increment: the margin less that of the case before; None for the first.
        increment_low: the lower end of its interval.
        increment_high: the upper end.
    """

    fit: float
    low: float
    high: float
    sites: int
    before: float
    after: float
    increment: float | None = None
    increment_low: float | None = None
    increment_high: float | None = None


@dataclass(frozen=True)
class Offset:
    """A margin for each case beside one offset ``c`` for all: sites at ``plate − c``.

    Attributes:
        c: the offset, grey levels.
        low: the lower end of its 95 % interval.
        high: the upper end.
        by_case: the offset that each case would have by itself.
        log_likelihood_margins: of all sites, where each case has its margin.
        log_likelihood_offset: of all sites, where all have the offset.
        bic_difference: BIC of the margins less that of the offset; below 0 speaks for the margins.
        p: of the F test of equal offsets in all cases.
        distinguishable: whether chance explains the difference at less than 5 %.
        statement: the result in words.
    """

    c: float
    low: float
    high: float
    by_case: dict[int, float]
    log_likelihood_margins: float
    log_likelihood_offset: float
    bic_difference: float
    p: float
    distinguishable: bool
    statement: str


def fit_margins(averages: Mapping[int, Averages], seed: int = 0) -> dict[int, Margin]:
    """The margins of all cases that have sites, and how they increase from case to case.

    Sites and depth maps are drawn anew for the intervals.
    """
    rng = np.random.default_rng(seed)
    usable = {k: a for k, a in averages.items() if len(a.sites) >= FEWEST_SITES}
    drawn = {k: _bootstrap(a, rng) for k, a in usable.items()}
    margins = {k: _margin(a, drawn[k]) for k, a in usable.items()}
    for before, case in pairwise(usable):
        sites = min(margins[before].sites, margins[case].sites)
        low, high = interval(drawn[case] - drawn[before], sites)
        margins[case] = replace(
            margins[case],
            increment=margins[case].fit - margins[before].fit,
            increment_low=float(low),
            increment_high=float(high),
        )
    return margins


def with_margin(depth: Floats, plate: float, margin: float, pixels: int) -> Floats:
    """Average depths of crops with a margin of plate around them."""
    return (depth * pixels + plate * margin) / (pixels + margin)


def fit_margin(averages: Averages) -> float:
    """The margin at which the 2-Wasserstein distance of both distributions is smallest.

    A margin scales what an average lacks to the plate by ``pixels/(pixels + margin)``. So the
    distance is that between the quantiles of the sites and the scaled quantiles of the depth maps,
    and the best scale is their least-squares ratio.
    """
    scale = _scale(_missing(averages.simulator, averages), _missing(averages.sites, averages))
    return averages.pixels * (1 / scale - 1)


def _margin(averages: Averages, drawn: Floats) -> Margin:
    fit = fit_margin(averages)
    low, high = interval(drawn, len(averages.sites))
    simulator = _missing(averages.simulator, averages)
    sites = _missing(averages.sites, averages)
    scale = averages.pixels / (averages.pixels + fit)
    return Margin(
        fit=fit,
        low=float(low),
        high=float(high),
        sites=len(averages.sites),
        before=_distance(simulator, sites),
        after=_distance(scale * simulator, sites),
    )


def _bootstrap(averages: Averages, rng: np.random.Generator) -> Floats:
    """Margins of resampled data, ``[replicates]``."""
    simulator, sites = (
        averages.plate - _drawn_quantiles(means, rng)
        for means in (averages.simulator, averages.sites)
    )
    scale = np.sum(sites * simulator, axis=1) / np.sum(simulator**2, axis=1)
    margins: Floats = averages.pixels * (1 / scale - 1)
    return margins


def _drawn_quantiles(values: Floats, rng: np.random.Generator) -> Floats:
    """Quantiles of as many values drawn with replacement, ``[replicates, 512]``."""
    count = len(values)
    ranks = np.sort(rng.integers(0, count, (REPLICATES, min(count, MOST_DRAWN)), np.int32), axis=1)
    drawn: Floats = np.sort(values)[ranks[:, _positions(ranks.shape[1])]]
    return drawn


def _missing(means: Floats, averages: Averages) -> Floats:
    """What quantiles of average depths lack to the plate, ``[512]``."""
    missing: Floats = averages.plate - np.sort(means)[_positions(len(means))]
    return missing


def _positions(count: int) -> npt.NDArray[np.int64]:
    """Where the quantiles stand among so many sorted values."""
    return np.floor(QUANTILES * count).astype(np.int64)


def _scale(simulator: Floats, sites: Floats) -> float:
    return float(np.sum(sites * simulator) / np.sum(simulator**2))


def _distance(first: Floats, second: Floats) -> float:
    return float(np.sqrt(np.mean((first - second) ** 2)))


def compare_offset(averages: Mapping[int, Averages]) -> Offset | None:
    """Set the margins against one offset for all cases, by likelihood.

    Site averages count as normal around the average that each model expects, with one spread for
    all cases. A margin for each case can expect any average of it, so the models differ by whether
    ``plate − average`` is the same in all cases: the F test of a one-way analysis of variance.

    Returns:
        None where fewer than two cases have sites.
    """
    offsets = {k: a.plate - a.sites for k, a in averages.items() if len(a.sites) >= FEWEST_SITES}
    if len(offsets) < 2:
        return None
    everything = np.concatenate(list(offsets.values()))
    count, cases = len(everything), len(offsets)
    within = float(sum(np.sum((o - o.mean()) ** 2) for o in offsets.values()))
    total = float(np.sum((everything - everything.mean()) ** 2))
    margins, offset = _log_likelihood(within, count), _log_likelihood(total, count)
    p = float(stats.f_oneway(*offsets.values()).pvalue)
    half = float(stats.t.ppf(0.975, count - 1) * stats.sem(everything))
    by_case = {case: float(o.mean()) for case, o in offsets.items()}
    distinguishable = p < SIGNIFICANCE
    return Offset(
        c=float(everything.mean()),
        low=float(everything.mean()) - half,
        high=float(everything.mean()) + half,
        by_case=by_case,
        log_likelihood_margins=margins,
        log_likelihood_offset=offset,
        bic_difference=(cases - 1) * float(np.log(count)) - 2 * (margins - offset),
        p=p,
        distinguishable=distinguishable,
        statement=_statement(everything, by_case, margins - offset, p),
    )


def _log_likelihood(squares: float, count: int) -> float:
    """Largest log likelihood of normal residuals with this sum of squares."""
    return float(-0.5 * count * (np.log(2 * np.pi * max(squares, 1e-12) / count) + 1))


def _statement(sites: Floats, by_case: Mapping[int, float], gain: float, p: float) -> str:
    spread = max(by_case.values()) - min(by_case.values())
    data = (
        f"{len(sites)} sites: a margin for each case has a log likelihood {gain:.2f} above that of "
        f"one offset c = {sites.mean():.2f} for all cases, with {len(by_case) - 1} more free "
        f"numbers (p = {p:.2g})."
    )
    if p >= SIGNIFICANCE:
        verdict = (
            "Such data cannot tell the two apart: the averages may come from plate around the "
            "crops, or be the plate less a constant that has nothing to do with it."
        )
    else:
        verdict = (
            f"One constant for all cases does not explain the {spread:.2f} grey levels by which "
            "the cases differ. That does not prove the margins: with one free number a case they "
            "fit any averages, and so would one offset a case, at the same likelihood."
        )
    return f"{data} {verdict}"
