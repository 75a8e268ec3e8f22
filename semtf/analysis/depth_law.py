"""The depth law: one shape for all cases, ``D = L − (L − floor)·s``, with the plate at ``L``."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from semtf.data.sampling import spread

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MAPS = 200
EXCEPTION = 2.0
"""Root mean square residual, in grey levels, from which on a depth map breaks the law."""

DEEP = 10
"""Percentile of the pixels below the plate that stands for the floor where there is one case."""


@dataclass(frozen=True)
class DepthLaw:
    """The depth law of one case.

    Attributes:
        plate: level of the plate, the most frequent maximum of its depth maps.
        floor: level of the floor: the hole is ``plate − (plate − floor)·s`` of the common shape.
        residual: root mean square of what the law leaves of the depth maps, grey levels; None where
            no hole recurs in another case.
        maps: how many recurring holes were compared.
        exceptions: holes whose depth map is further than 2 grey levels from the law.
    """

    plate: float
    floor: float
    residual: float | None
    maps: int
    exceptions: tuple[str, ...]


def plate_level(depth: Images) -> float:
    """The most frequent maximum of depth maps ``[n, H, W]``."""
    maxima = depth.reshape(len(depth), -1).max(axis=1)
    return float(np.bincount(maxima).argmax())


def fit_depth_law(
    depth: Mapping[int, Images], bases: Mapping[int, npt.NDArray[np.str_]]
) -> dict[int, DepthLaw]:
    """Fit the law to the holes that recur in all cases; at most 200, evenly spread.

    Args:
        depth: by case, depth maps ``[n, H, W]``.
        bases: by case, the hole of each, ``[n]``.
    """
    plates = {case: plate_level(maps) for case, maps in depth.items()}
    names = recurring(bases)
    if len(depth) < 2 or not len(names) or len(set(plates.values())) < 2:
        return {k: DepthLaw(plates[k], _deep(maps, plates[k]), None, 0, ()) for k, maps in
                depth.items()}  # fmt: skip
    names = names[spread(len(names), MAPS)]
    below = {
        case: plates[case] - maps[_rows(bases[case], names)].astype(np.float64)
        for case, maps in depth.items()
    }
    floor = _common_floor(below, plates)
    shape = np.mean([below[k] / (plates[k] - floor) for k in below], axis=0)
    return {case: _law(b, shape, plates[case], names) for case, b in below.items()}


def recurring(bases: Mapping[int, npt.NDArray[np.str_]]) -> npt.NDArray[np.str_]:
    """The holes that all cases have, sorted."""
    names: set[str] = set.intersection(*(set(map(str, n)) for n in bases.values()))
    return np.array(sorted(names), np.str_)


def _rows(bases: npt.NDArray[np.str_], names: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    order = np.argsort(bases, kind="stable")
    rows: npt.NDArray[np.int64] = order[np.searchsorted(bases[order], names)]
    return rows


def _common_floor(below: Mapping[int, Floats], plates: Mapping[int, float]) -> float:
    """The floor at which the shapes of all cases agree best."""
    few = {case: b[: max(1, len(b) // 4)] for case, b in below.items()}

    def disagreement(floor: float) -> float:
        shapes = np.stack([b / (plates[case] - floor) for case, b in few.items()])
        return float(np.mean(np.var(shapes, axis=0)) / np.mean(shapes**2))

    highest = min(plates.values()) - 1
    return float(minimize_scalar(disagreement, bounds=(-highest, highest), method="bounded").x)


def _law(below: Floats, shape: Floats, plate: float, names: npt.NDArray[np.str_]) -> DepthLaw:
    depth = float(np.sum(below * shape) / np.sum(shape**2))
    squares = np.mean((below - depth * shape) ** 2, axis=(1, 2))
    exceptions = names[np.sqrt(squares) > EXCEPTION]
    residual = float(np.sqrt(np.mean(squares)))
    return DepthLaw(plate, plate - depth, residual, len(names), tuple(map(str, exceptions)))


def _deep(depth: Images, plate: float) -> float:
    hole = depth[depth < plate]
    return float(np.percentile(hole, DEEP)) if hole.size else plate
