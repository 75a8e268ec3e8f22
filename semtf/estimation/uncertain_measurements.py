"""Standard uncertainties of what is measured of a hole, from draws of its depth map."""

import numpy as np
import numpy.typing as npt

from semtf.estimation.joint import ErrorPatterns
from semtf.metrology.hole import measure, quantity

DRAWS = 32
PREFIX = "u_"
LEAST = 0.5
"""Least share of the draws that must have a measurement for its uncertainty."""


def uncertainties(
    depth: npt.NDArray[np.floating],
    sigma: npt.NDArray[np.floating],
    patterns: ErrorPatterns,
    pixel_size_nm: float | None = None,
    level_nm: float | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float]:
    """Standard uncertainty of each measurement of one depth map, by column with ``u_`` before it.

    Each draw is measured as the map is (JCGM 101, the Monte Carlo method); the uncertainty is the
    standard deviation over the draws, times the scale of its quantity
    (`semtf.estimation.measurement_scales`). Where less than half of them have a measurement it is
    NaN.

    Args:
        depth, sigma: estimate ``[H, W]``, grey levels.
        patterns: how the case's errors go together.
        pixel_size_nm, level_nm: as in `semtf.metrology.hole.measure`.
        draws: how many.
        seed: of the random numbers.
    """
    drawn = patterns.draws(
        np.asarray(depth, np.float32),
        np.asarray(sigma, np.float32),
        draws,
        np.random.default_rng(seed),
    )
    table = measure(drawn, pixel_size_nm, level_nm)
    spread = table.std(ddof=1).where(table.notna().mean() >= LEAST)
    if not np.any(sigma > 0):
        spread *= 0.0
    return {
        f"{PREFIX}{name}": float(value) * patterns.scales.get(quantity(str(name)), 1.0)
        for name, value in spread.items()
    }
