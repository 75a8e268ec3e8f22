"""What speaks against data or an adaptation, before it is trained and before it is delivered.

No label tells a fab whose holes lie lower from a microscope that shows them lower. An adapter
learns both alike; its depth maps are right in the second case only. So a large movement is told.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.adaptation.criterion import Comparison
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.sampling import spread
from semtf.errors import InputError

MOVED = 2.5
"""Pixels that holes may move: a microscope's field is rarely off by more, a crop often is."""
TORN = 0.75
"""Pixels, root mean square, that holes may move each in its own way."""
LOST = 0.02
"""Share of the holes that may vanish."""
INVERTED = -0.5
"""Correlation of both domains' mean images from which on one is taken for a negative."""
SAMPLE = 256


def check_polarity(simulator: SimulatorSet, fab: FabSet) -> None:
    """Refuse fab images that are negatives of the simulator's.

    An adapter would learn to invert them, and whatever else it would learn with that is chance.

    Raises:
        InputError: the mean images of both domains are opposites.
    """
    source = simulator.mean_sem(spread(len(simulator), SAMPLE)).mean(axis=0)
    target = fab.images[spread(len(fab), SAMPLE)].mean(axis=0)
    found = correlation(source, target)
    if found < INVERTED:
        raise InputError(
            f"case {fab.case}: the fab's images are negatives of the simulator's (correlation of "
            f"the mean images {found:.2f}): invert one of them, 255 − grey level"
        )


def correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Pearson's correlation of the pixels of two images; 0 where one of them is constant."""
    a, b = (values.astype(np.float64).ravel() - values.mean() for values in (first, second))
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms > 0 else 0.0


def doubts(comparison: Comparison) -> list[str]:
    """What speaks against an adaptation, each as a sentence; nothing where it looks sound."""
    down, right = comparison.moved
    found = []
    if np.hypot(down, right) > MOVED:
        found.append(
            f"adapted holes lie {down:+.1f} pixels lower and {right:+.1f} further right than the "
            "simulator's. If the fab's crops are placed otherwise, and not its microscope, depth "
            "maps are off by as much: crop the images alike"
        )
    if comparison.criterion.centroid > TORN:
        found.append(
            f"adaptation moves holes by {comparison.criterion.centroid:.2f} pixels each in its "
            "own way (centroids); pairs may have been mixed up: check the report's images"
        )
    if comparison.lost > LOST:
        found.append(
            f"{comparison.lost:.0%} of the adapted images have lost their hole: check the "
            "report's images"
        )
    return found
