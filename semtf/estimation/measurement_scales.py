"""Scales of the uncertainties of measurements, found on held-out queries.

A measurement is no linear function of the pixels: an estimate that blends edges has a wider wall
than any hole, and no draw around it says so. Of held-out queries the measurement and the truth are
known, so uncertainties are scaled until twice of them covers 95 % of these holes: split conformal
prediction (Lei et al., Journal of the American Statistical Association 113, 2018). A scale only
widens, because fab images may be harder than queries, and hardly easier.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.uncertain_measurements import PREFIX, uncertainties
from semtf.metrology.hole import measure, quantity

COVERED = 0.95
FACTOR = 2.0
"""Standard uncertainties in half an interval of that coverage."""
HOLES = 64
"""Queries that are measured, at most."""
CYCLIC = "orientation"
"""An angle, whose errors have no size; it is not scaled."""

Maps = npt.NDArray[np.float32]


def with_scales(errors: ErrorPatterns, depth: Maps, sigma: Maps, truth: Maps) -> ErrorPatterns:
    """The errors with scales for measurements.

    Args:
        errors: of the pixels.
        depth, sigma, truth: of queries, ``[m, H, W]``, grey levels.
    """
    count = min(len(depth), HOLES)
    plain = dataclasses.replace(errors, scales={})
    found, true = (measure(maps[:count], 1.0, 1.0) for maps in (depth, truth))
    spread = [uncertainties(depth[i], sigma[i], plain, 1.0, 1.0, seed=i) for i in range(count)]
    scales = {}
    for column in map(str, found):
        told = FACTOR * np.array([one[PREFIX + column] for one in spread])
        scale = _scale(np.abs((found[column] - true[column]).to_numpy()), told)
        if scale > 1 and quantity(column) != CYCLIC:
            scales[quantity(column)] = scale
    return dataclasses.replace(errors, scales=scales)


def _scale(error: npt.NDArray[np.float64], told: npt.NDArray[np.float64]) -> float:
    """The least factor of told half widths ``[m]`` that covers enough of the errors ``[m]``.

    Too few holes for that get the largest that occurs; 1 where there is none.
    """
    known = np.isfinite(error) & (told > 0)
    ratio = np.sort(error[known] / told[known])
    index = int(np.ceil(COVERED * (len(ratio) + 1))) - 1
    return float(ratio[min(index, len(ratio) - 1)]) if len(ratio) else 1.0
