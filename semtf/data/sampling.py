"""Which images are compared: evenly spread ones, and whole sites."""

import numpy as np
import numpy.typing as npt

FEWEST_SITES = 16
"""Sites that are sampled at least, with a part of their images where they are large."""


def spread(count: int, limit: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` indices of ``count`` items, evenly spread."""
    return np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64)


def whole_sites(
    sites: npt.NDArray[np.str_] | None, count: int, limit: int
) -> npt.NDArray[np.int64]:
    """About ``limit`` indices of ``count`` images, all images of evenly spread sites.

    At least `FEWEST_SITES` sites are taken, or all there are, and no more images than ``limit``:
    where sites are larger than that allows, evenly spread images of each.
    """
    if sites is None or count <= limit:
        return spread(count, limit)
    names, member = np.unique(sites, return_inverse=True)
    wanted = max(min(FEWEST_SITES, len(names)), limit * len(names) // count)
    chosen = spread(len(names), wanted)
    each = [np.flatnonzero(member == site) for site in chosen]
    kept = [images[spread(len(images), max(limit // len(each), 1))] for images in each]
    return np.sort(np.concatenate(kept))
