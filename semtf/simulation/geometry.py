"""Contact holes as fields: contour, wall and floor, drawn or taken from given depth maps.

A structure is one dimensionless shape field ``s`` (0 on the plate, 1 on the nominal floor) from
which the depth map of every case follows by the depth law ``D = L − (L − 30)·s``. The model is
phenomenological: its lengths are nominal and its constants are fitted to published statistics.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtri

from semtf.cases import Case
from semtf.config import SHAPE
from semtf.simulation.contour import contour, roughness, signed_distance
from semtf.simulation.holes import HOLE, HoleModel
from semtf.simulation.profile import SUPERSAMPLING, averaged, floor, profile, residue

FLOOR_LEVEL = 30
MARGIN = 4
"""Pixels simulated around the image, so that blur and shifts have something to draw from."""

PAIRINGS = 32

Fields = NDArray[np.float32]


@dataclass(frozen=True)
class Structures:
    """A batch of structures, with ``MARGIN`` pixels around each image.

    Attributes:
        shape: ``[n, height + 2·MARGIN, width + 2·MARGIN]``, the shape field s.
        distance: as ``shape``: signed distance to the hole's edge in pixels, positive inside.
    """

    shape: Fields
    distance: Fields

    def __len__(self) -> int:
        return len(self.shape)

    def depth(self, case: Case) -> NDArray[np.uint8]:
        """Depth maps of a case, ``[n, height, width]``: the depth law, rounded to grey levels."""
        inner = self.shape[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.clip(np.rint(depth_law(inner, case)), 0, 255).astype(np.uint8)


def depth_law(shape: Fields, case: Case) -> Fields:
    """Depth in grey levels of a shape field: ``L − (L − 30)·s``."""
    return case.plate - (case.plate - FLOOR_LEVEL) * shape


def draw_axes(rng: np.random.Generator, count: int, model: HoleModel = HOLE) -> Fields:
    """Half-axes (row, column) in pixels of ``count`` independent holes or sites, ``[count, 2]``.

    Stratified: the kinds of hole come in their exact shares, the sizes of each kind are evenly
    spaced quantiles, rows and columns uncorrelated; so a small draw has the spread of a large one.
    """
    counts = _apportion(model.shares, count)
    parts = [
        half_axes + _uncorrelated_normals(rng, number) * model.axis_sigma
        for half_axes, number in zip(model.half_axes, counts, strict=True)
    ]
    return rng.permutation(np.concatenate(parts)).astype(np.float32)


def draw_structures(
    rng: np.random.Generator,
    axes: Fields,
    size: tuple[int, int] = SHAPE,
    model: HoleModel = HOLE,
) -> Structures:
    """Draw one structure for each row of ``axes`` (half-axes in pixels, ``[n, 2]``).

    Centre, turn, edge roughness, floor and residue are drawn anew for every structure.
    """
    height, width = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
    half_axes = axes + rng.normal(0.0, model.crop_sigma, axes.shape)
    centres = rng.normal(0.0, model.centre_sigma, axes.shape)
    rough = _edges(rng, len(axes), model)
    distance = np.empty((len(axes), height, width), np.float32)
    shape = floor(rng, distance.shape, model)
    turns = np.full(len(axes), model.rotation)
    if model.rotation_sigma:
        turns += rng.normal(0.0, model.rotation_sigma, len(axes))
    for i in range(len(axes)):  # one at a time, because its fields fit the processor's cache
        outline = contour(half_axes[i], centres[i], rough[i], turns[i], model)
        distance[i] = signed_distance(outline, height, width)
        if model.residue:
            shape[i] -= residue(rng, half_axes[i], centres[i], turns[i], (height, width), model)
        shape[i] *= profile(distance[i], float(half_axes[i, 1]), model)
    return Structures(shape, distance)


def structures_from_depth(depth: NDArray[np.uint8]) -> Structures:
    """Structures whose shape fields are those of given depth maps, ``[n, height, width]``.

    The plate level of each map is its maximum, which must lie above the floor level 30. The
    edge is where the map falls below its plate level.
    """
    level = depth.max(axis=(1, 2), keepdims=True).astype(np.float32)
    shape = (level - depth) / (level - FLOOR_LEVEL)
    pad = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    shape = np.pad(shape, pad, mode="edge").astype(np.float32)
    return Structures(shape, np.stack([_edge_distance(s) for s in shape]))


def _apportion(shares: tuple[float, ...], count: int) -> NDArray[np.int64]:
    edges = np.rint(np.cumsum((0.0, *shares)) / sum(shares) * count).astype(np.int64)
    return np.diff(edges)


def _uncorrelated_normals(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Normal quantiles ``[count, 2]`` in the least correlated of ``PAIRINGS`` random pairings."""
    quantiles = ndtri((np.arange(count) + 0.5) / max(count, 1))
    pairings = (rng.permutation(quantiles) for _ in range(PAIRINGS))
    best = min(pairings, key=lambda pairing: abs(quantiles @ pairing))
    return np.stack([quantiles, best], axis=1)


def _edges(rng: np.random.Generator, count: int, model: HoleModel) -> NDArray[np.float64]:
    """Displacement of each hole's edge, ``[count, CONTOUR_POINTS]`` pixels."""
    rough = roughness(rng, count, model, model.roughness, model.roughness_length)
    if model.coarse_roughness:
        rough += roughness(rng, count, model, model.coarse_roughness, model.coarse_length)
    return rough


def _edge_distance(shape: Fields) -> Fields:
    """Signed distance in pixels to the outline of the pixels with s > 0."""
    inside = (shape > 0).repeat(SUPERSAMPLING, axis=0).repeat(SUPERSAMPLING, axis=1)
    if not inside.any():
        return np.full(shape.shape, -np.inf, np.float32)
    signed = distance_transform_edt(inside) - distance_transform_edt(~inside)
    signed = (signed - np.sign(signed) * 0.5) / SUPERSAMPLING
    return averaged(signed.astype(np.float32))
