"""Bootstrap intervals whose units are sites, holes, or whatever else is independent."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

REPLICATES = 400
COVERAGE = 0.95

Floats = npt.NDArray[np.float64]
Draw = Callable[[], float | Floats]


def replicates(draw: Draw, count: int = REPLICATES) -> Floats:
    """The values of ``count`` draws, each from data that it resamples itself, ``[count, …]``."""
    return np.stack([np.asarray(draw(), np.float64) for _ in range(count)])


def interval(values: Floats, units: int) -> tuple[Floats, Floats]:
    """The expanded percentile interval of bootstrap values, along their first axis.

    The plain percentile interval is too short where there are few units: a resampled variance is
    ``(units − 1)/units`` of the true one, and the normal quantile stands where Student's belongs.
    Both are made good by wider percentiles (Hesterberg, What Teachers Should Know About the
    Bootstrap, The American Statistician 69, 2015, section 4.1).

    Args:
        values: ``[replicates, …]``.
        units: how many independent units were resampled; with fewer than two the interval is NaN.

    Returns:
        The lower and the upper end, ``[…]``.
    """
    if units < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    quantile = stats.t.ppf((1 + COVERAGE) / 2, units - 1) * np.sqrt(units / (units - 1))
    tail = stats.norm.cdf(-quantile)
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high


class Groups:
    """Items that belong to groups, which are drawn whole."""

    def __init__(self, names: npt.ArrayLike) -> None:
        """``names`` ``[n]``: the group of each item."""
        unique, members = np.unique(np.asarray(names), return_inverse=True)
        order = np.argsort(members, kind="stable")
        bounds = np.cumsum(np.bincount(members))[:-1]
        self.items = np.split(order, bounds)
        self.count = len(unique)

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The items of as many groups as there are, drawn with replacement."""
        chosen = rng.integers(0, self.count, self.count)
        return np.concatenate([self.items[i] for i in chosen])
