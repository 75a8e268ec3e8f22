"""Whether σ holds where some truth is known: coverage and width of the 90 % intervals.

The unit is the image, or the site where sites are known: the pixels of one image are wrong
together. Intervals of the coverage come from the bootstrap over those units (Efron, 1979).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.errors import InputError
from semtf.estimation.calibration import covered
from semtf.estimation.intervals import EDGE, NORMAL, ZONES

SURE = 0.01
"""σ in grey levels below which a pixel counts as certain."""
RIGHT = 0.5
"""Error in grey levels up to which a pixel counts as right: depth values are whole levels."""
RESAMPLES = 1000
QUANTILES = (0.025, 0.975)
BINS = 4
"""Parts of equal size into which images are sorted by similarity."""
SIGMA = "_sigma.npy"
AGAIN = "predict again with --arrays"
COLUMNS = ("by", "group", "zone", "coverage", "low", "high", "width", "right", "pixels", "units")


@dataclass(frozen=True)
class Judged:
    """Estimates beside the truth, ``[n, H, W]`` each, in grey levels.

    Attributes:
        depth, sigma: the estimate.
        truth: the true depth.
    """

    depth: npt.NDArray[np.floating]
    sigma: npt.NDArray[np.floating]
    truth: npt.NDArray[np.generic]

    def zones(self, cases: npt.NDArray[np.generic] | None = None) -> npt.NDArray[np.int64]:
        """The index of each pixel's zone in `ZONES`, from the estimate alone.

        Plate and floor are those of the estimates of a case: the highest level, and the usual
        one in the lower half of the holes.
        """
        zones = np.zeros(self.depth.shape, np.int64)
        groups = np.zeros(len(self.depth), int) if cases is None else cases
        for group in np.unique(groups):
            depth = self.depth[groups == group]
            plate = float(depth.max())
            floor = float(np.median(depth[depth <= (float(depth.min()) + plate) / 2]))
            share = (plate - depth) / max(1.0, plate - floor)
            zones[groups == group] = 1 + (share > EDGE) + (share > 1 - EDGE)
        return np.where(self.sigma < SURE, 0, zones)


def coverage_table(
    judged: Judged,
    *,
    cases: npt.NDArray[np.generic] | None = None,
    sites: npt.NDArray[np.str_] | None = None,
    similarity: npt.NDArray[np.floating] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Coverage of 90 % intervals by zone: over all images, and by case, site and similarity.

    Args:
        judged: estimates beside the truth.
        cases: of each image ``[n]``, where known.
        sites: of each image ``[n]``, where known: what is resampled.
        similarity: of each image ``[n]``, where known.
        seed: of the bootstrap.

    Returns:
        A row a group and zone: ``coverage``, the share of pixels inside their interval, with the
        ends ``low`` and ``high`` of its 95 % interval; ``width``, the mean half width in grey
        levels; ``right``, the share of pixels within half a level; ``pixels``, the zone's share
        of all; ``units``, the images or sites that have the zone.
    """
    zones = judged.zones(cases)
    error = np.abs(np.asarray(judged.depth, np.float64) - np.asarray(judged.truth, np.float64))
    half = NORMAL * np.asarray(judged.sigma, np.float64)
    maps = {"covered": covered(error, half), "width": half, "right": error <= RIGHT}
    units = np.arange(len(error)) if sites is None else np.unique(sites, return_inverse=True)[1]
    rows = []
    for by, group, chosen in _groups(len(error), cases, sites, similarity):
        for number, zone in enumerate(ZONES):
            inside = zones[chosen] == number
            parts = {name: values[chosen] for name, values in maps.items()}
            row = _row(inside, parts, units[chosen], seed)
            if row is not None:
                rows.append({"by": by, "group": group, "zone": zone, **row})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_estimates(
    folder: Path, names: npt.NDArray[np.str_], size: tuple[int, ...] | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Depth and σ of named images, as ``semtf predict --arrays`` writes them.

    Args:
        folder: where they are.
        names: of the images.
        size: rows and columns of each; those of the first where None.

    Raises:
        InputError: a file is missing or cannot be read, or is no map of this size.
    """
    found = []
    for ending in (".npy", SIGMA):
        maps = []
        for name in names:
            path = folder / f"{Path(str(name)).with_suffix('')}{ending}"
            try:
                array = np.load(path, allow_pickle=False)
            except (OSError, ValueError, EOFError, MemoryError) as error:
                raise InputError(
                    f"{path}: cannot be read ({error or 'it is empty'}); --sigma needs a folder "
                    "that semtf predict --arrays wrote"
                ) from error
            if not (array.dtype.kind == "f" and np.isfinite(array).all()):
                raise InputError(f"{path}: holds no map of finite numbers; {AGAIN}")
            if ending == SIGMA and (array < 0).any():
                raise InputError(f"{path}: a sigma is negative; {AGAIN}")
            size = array.shape if size is None else size
            if array.ndim != 2 or array.shape != size:
                raise InputError(
                    f"{path}: has shape {list(array.shape)} instead of {list(size[-2:])}; {AGAIN}"
                )
            maps.append(array.astype(np.float32))
        found.append(np.stack(maps))
    depth, sigma = found
    return depth, sigma


def _groups(
    count: int,
    cases: npt.NDArray[np.generic] | None,
    sites: npt.NDArray[np.str_] | None,
    similarity: npt.NDArray[np.floating] | None,
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    yield "all", "", np.ones(count, bool)
    for by, values in (("case", cases), ("site", sites)):
        for value in [] if values is None else np.unique(values):
            yield by, str(value), np.asarray(values == value)
    if similarity is not None and count >= BINS:
        order = np.argsort(np.argsort(similarity, kind="stable"), kind="stable")
        for part in range(BINS):
            chosen = order * BINS // count == part
            low, high = similarity[chosen].min(), similarity[chosen].max()
            yield "similarity", f"{low:.4f} to {high:.4f}", chosen


def _row(
    inside: npt.NDArray[np.bool_],
    maps: Mapping[str, npt.NDArray[np.generic]],
    units: npt.NDArray[np.intp],
    seed: int,
) -> dict[str, float] | None:
    """Figures of the pixels ``inside``; None where there are none."""
    counts = inside.sum(axis=(1, 2))
    if not counts.any():
        return None
    shares = {name: (values * inside).sum(axis=(1, 2)) for name, values in maps.items()}
    table = pd.DataFrame({"pixels": counts, **shares}).groupby(units).sum()
    table = table[table["pixels"] > 0]
    total = table["pixels"].to_numpy(float)
    covered = table["covered"].to_numpy(float)
    drawn = np.random.default_rng(seed).integers(0, len(table), (RESAMPLES, len(table)))
    resampled = covered[drawn].sum(axis=1) / total[drawn].sum(axis=1)
    low, high = np.quantile(resampled, QUANTILES)
    return {
        "coverage": float(covered.sum() / total.sum()),
        "low": float(low),
        "high": float(high),
        "width": float(table["width"].sum() / total.sum()),
        "right": float(table["right"].sum() / total.sum()),
        "pixels": float(inside.mean()),
        "units": len(table),
    }
