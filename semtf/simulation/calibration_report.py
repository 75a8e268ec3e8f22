"""The table of published against achieved statistics of a synthetic data set."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.cases import CHALLENGE, Case
from semtf.data.dataset import Dataset, open_dataset
from semtf.simulation.geometry import FLOOR_LEVEL
from semtf.simulation.scan import WHITE

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = (0, 20, 40, 47, 50, 60, 80)
DEEP = 0.9
"""Shape value from which on a pixel counts as floor."""

Images = npt.NDArray[np.uint8]


class Target(NamedTuple):
    """A published value and how far, in its own unit, the achieved one may lie from it."""

    value: float
    tolerance: float


class Row(NamedTuple):
    """One statistic of one case (or of all) of the depth maps or of one kind of images."""

    domain: str
    case: str
    quantity: str
    achieved: float


def _relative(tolerance: float, *values: float) -> list[Target]:
    return [Target(value, tolerance * value) for value in values]


def _targets() -> dict[tuple[str, str, str], Target]:
    """Statistics published for the challenge's data, by domain, case and quantity.

    Percentiles of the images are not published. Those of the depth maps above 48.7 % follow from
    the published share of the plate, 51.3 %: they are the plate level itself.
    """
    by_case = {
        ("depth", "mean"): _relative(0.01, 101.77, 108.29, 114.81, 121.34),
        ("depth", "std"): _relative(0.01, 47.1, 51.4, 55.7, 60.0),
        ("depth", "plate share"): _relative(0.02, *[0.513] * 4),
        ("simulator", "mean"): _relative(0.05, 102.34, 100.61, 99.11, 97.81),
        ("simulator", "std"): _relative(0.05, 55.6, 57.1, 58.4, 59.5),
        ("fab", "mean"): _relative(0.05, 118.23, 116.39, 114.66, 113.04),
        ("fab", "std"): _relative(0.05, 63.2, 65.1, 66.6, 67.9),
        ("average depth", "mean"): _relative(0.01, 108.70, 118.56, 128.22, 138.22),
        ("average depth", "std (site spread)"): _relative(0.15, 1.55, 1.52, 1.50, 1.55),
    }
    for domain in ("simulator", "fab"):
        by_case[domain, "images with maximum 212"] = [Target(1.0, 0.0)] * 4
    for percentile in (50, 60, 80):
        levels = [Target(case.plate, 0.0) for case in CHALLENGE]
        by_case["depth", f"percentile {percentile}"] = levels
    targets = {
        (domain, str(case.case), quantity): target
        for (domain, quantity), values in by_case.items()
        for case, target in zip(CHALLENGE, values, strict=True)
    }
    over_cases = {
        ("depth", "minimum"): Target(20.9, 1.0),
        ("simulator", "mean |dx|"): Target(12.92, 0.05 * 12.92),
        ("simulator", "mean |dy|"): Target(11.93, 0.05 * 11.93),
        ("simulator", "noise |itr0 - itr1|"): Target(9.9, 0.05 * 9.9),
        ("fab", "mean |dx|"): Target(8.67, 0.05 * 8.67),
        ("fab", "mean |dy|"): Target(6.83, 0.05 * 6.83),
        ("average depth", "std (site spread)"): Target(1.5, 0.15 * 1.5),
    }
    for (domain, quantity), target in over_cases.items():
        targets[domain, "all", quantity] = target
    return targets


TARGETS: Mapping[tuple[str, str, str], Target] = _targets()


def report(root: Path | str, cache: Path | None = None) -> "pd.DataFrame":
    """Measure a data set in the challenge's layout and compare it with the published statistics.

    Args:
        root: the data set.
        cache: where its packed images are kept; see `semtf.data.dataset.open_dataset`.

    Returns:
        A table with the columns domain, case (its number, or the mean over ``all``), quantity,
        target and tolerance (NaN where nothing is published), achieved, and inside (None where
        there is no target).

    Raises:
        InputError: the data set cannot be read.
    """
    import pandas as pd

    dataset = open_dataset(root, cache=cache)
    published = TARGETS if dataset.table == CHALLENGE else {}
    rows = list(_measured(dataset))
    rows += list(_over_cases(rows))
    table = pd.DataFrame(rows, columns=Row._fields)
    found = [published.get((row.domain, row.case, row.quantity)) for row in rows]
    table.insert(3, "target", [np.nan if target is None else target.value for target in found])
    table["tolerance"] = [np.nan if target is None else target.tolerance for target in found]
    table["inside"] = [
        None if target is None else abs(row.achieved - target.value) <= target.tolerance
        for row, target in zip(rows, found, strict=True)
    ]
    return table.sort_values("domain", kind="stable", ignore_index=True)


def _measured(dataset: Dataset) -> Iterator[Row]:
    for case in dataset.table:
        pairs = dataset.simulator(case.case)
        first, second = pairs.sem[:, 0], pairs.sem[:, 1]
        noise = np.abs(first.astype(np.int16) - second).mean()
        depth = {**image_statistics(pairs.depth), **depth_statistics(pairs.depth, case)}
        simulator = {**sem_statistics(first), "noise |itr0 - itr1|": noise}
        fab = sem_statistics(np.asarray(dataset.fab(case.case).images))
        table = dataset.average_depth
        sites = table["depth"][table["case"] == case.case]
        average = {"mean": sites.mean(), "std (site spread)": sites.std()}
        domains = {"depth": depth, "simulator": simulator, "fab": fab, "average depth": average}
        for domain, statistics in domains.items():
            for quantity, value in statistics.items():
                yield Row(domain, str(case.case), quantity, float(value))


def _over_cases(rows: list[Row]) -> Iterator[Row]:
    """Means over the cases of what is published as such."""
    for domain, case, quantity in TARGETS:
        if case == "all":
            values = [
                row.achieved for row in rows if (row.domain, row.quantity) == (domain, quantity)
            ]
            yield Row(domain, "all", quantity, float(np.mean(values)))


def image_statistics(images: Images) -> dict[str, float]:
    """Mean, mean standard deviation of an image, and percentiles of ``[n, rows, columns]``."""
    values = np.percentile(images, PERCENTILES)
    percentiles = {f"percentile {p}": float(v) for p, v in zip(PERCENTILES, values, strict=True)}
    std = images.std(axis=(1, 2), dtype=np.float64).mean()
    return {"mean": float(images.mean()), "std": float(std), **percentiles}


def sem_statistics(images: Images) -> dict[str, float]:
    """`image_statistics`, mean absolute differences of neighbours, and the share whose maximum
    is 212."""
    signed = images.astype(np.int16)
    return {
        **image_statistics(images),
        "mean |dx|": float(np.abs(np.diff(signed, axis=2)).mean()),
        "mean |dy|": float(np.abs(np.diff(signed, axis=1)).mean()),
        "images with maximum 212": float((images.max(axis=(1, 2)) == WHITE).mean()),
    }


def depth_statistics(depth: Images, case: Case) -> dict[str, float]:
    """Shares of plate and floor pixels, and the mean over maps of their minimum."""
    level = case.plate
    floor = level - DEEP * (level - FLOOR_LEVEL)
    return {
        "plate share": float((depth == level).mean()),
        "floor share": float((depth <= floor).mean()),
        "minimum": float(depth.min(axis=(1, 2)).mean()),
    }
