"""The measurements of contact holes in depth maps, as one table."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import distance_transform_edt
from skimage.draw import polygon2mask
from skimage.filters import threshold_otsu

from semtf.data.names import check_unique
from semtf.errors import InputError
from semtf.metrology import contour as contours

WALL = (0.2, 0.8)
"""Parts of the depth between which the wall is measured, clear of its rounded ends."""

FLOOR = 2 / 3
"""The floor lies at least so far inside the edge, as a part of the largest such distance."""

ROUNDS = 3
RAISED = 10.0
"""Grey levels from which on a middle above the border is taken for an inverted hole."""
LENGTHS = (
    "equivalent_diameter", "cd_rows", "cd_columns", "major_axis", "minor_axis",
    "wall_width", "edge_roughness_sigma",
)  # fmt: skip
COLUMNS = (
    "area_px2", "equivalent_diameter_px", "cd_rows_px", "cd_columns_px", "major_axis_px",
    "minor_axis_px", "orientation_deg", "centroid_row_px", "centroid_column_px",
    "plate_level", "floor_level", "floor_minimum_level", "depth_levels", "maximum_depth_levels",
    "wall_width_px", "sidewall_angle_deg", "edge_roughness_sigma_px", "volume_px2_levels",
)  # fmt: skip


def measure(
    depth: Any,
    pixel_size_nm: float | None = None,
    level_nm: float | None = None,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Measure the hole in each depth map.

    What is measured in pixels does not depend on the scale of the depth, and levels are in the
    unit of the map: maps in other units than grey levels need the ``level_nm`` of theirs.

    Args:
        depth: depth maps ``[n, H, W]``, or one ``[H, W]``, in grey levels; smaller is deeper. Or
            a `DepthResult`, whose names become the table's.
        pixel_size_nm: side of a pixel; adds columns in nanometres.
        level_nm: depth of one grey level; adds the depths in nanometres.
        names: of the images, for the index of the table.

    Returns:
        One row an image. Rows are the vertical axis; the edge is the contour at half depth.

        - ``area_px2``, ``equivalent_diameter_px``: of the hole at half depth, and of the circle
          of that area.
        - ``cd_rows_px``, ``cd_columns_px``: critical dimensions, the chords through the centroid
          along the rows' axis (height) and the columns' axis (width).
        - ``major_axis_px``, ``minor_axis_px``, ``orientation_deg``: of the ellipse with the same
          second moments; the angle runs from the rows' axis to the major axis,
          counter-clockwise, −90 to 90.
        - ``centroid_row_px``, ``centroid_column_px``: pixel centres are whole numbers.
        - ``plate_level``: median of the pixels outside the edge.
        - ``floor_level``, ``floor_minimum_level``: mean over the floor's middle third, and the
          smallest value inside the edge.
        - ``depth_levels``, ``maximum_depth_levels``: the plate's level less those two.
        - ``wall_width_px``: mean lateral distance between 20 % and 80 % of the depth.
        - ``sidewall_angle_deg``: of the wall between these two, 90 is vertical; NaN unless both
          scales are given.
        - ``edge_roughness_sigma_px``: 1 σ, see `semtf.metrology.contour.edge_roughness`.
        - ``volume_px2_levels``: between the map and the plate's level.
        - the same in nanometres, as ``area_nm2``, ``cd_rows_nm``, ..., ``depth_nm``,
          ``maximum_depth_nm`` and ``volume_nm3``, where the scales are given.

        A map without a hole, or with one that the image's border cuts, has NaN for all that
        needs the edge.

    Raises:
        InputError: another shape, values that are not finite, a scale that is not positive, or a
            name twice.

    Warns:
        UserWarning: maps without a hole whose middle is higher than their border: inverted ones.

    Notes:
        The middle third is where ISO 5436-1 evaluates the depth of a groove (type A1); here it
        is what lies two thirds of the largest distance or more inside the edge. Half depth, which
        gives the edge, and the levels, which give half depth, are found in turn, starting from
        Otsu's threshold. The wall's width follows from Steiner's formula: the area between the
        contours at 20 % and 80 % of the depth over the perimeter at half depth.
    """
    if hasattr(depth, "depth"):
        names = depth.names if names is None else names
        depth = depth.depth
    maps = _checked(depth)
    for name, scale in (("pixel_size_nm", pixel_size_nm), ("level_nm", level_nm)):
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise InputError(f"{name} {scale}: must be a positive number of nanometres")
    if names is not None:
        if len(names) != len(maps):
            raise InputError(f"names: {len(names)} for {len(maps)} depth maps")
        check_unique(names)
    _warn_of_inverted(maps)
    index = None if names is None else pd.Index(names, name="name")
    table = pd.DataFrame(
        [_measurements(m) for m in maps], columns=list(COLUMNS), index=index, dtype=float
    )
    return _scaled(table, pixel_size_nm, level_nm)


def _warn_of_inverted(maps: npt.NDArray[np.float64]) -> None:
    """Warn where maps are higher in the middle than at the border, as no hole is."""
    height, width = maps.shape[1:]
    middle = maps[:, height // 3 : -(height // 3), width // 3 : -(width // 3)].mean(axis=(1, 2))
    border = np.concatenate([maps[:, 0], maps[:, -1], maps[:, :, 0], maps[:, :, -1]], axis=1)
    inverted = middle - np.median(border, axis=1) > RAISED
    if inverted.any():
        warnings.warn(
            f"{int(inverted.sum())} of {len(maps)} depth maps are higher in the middle than at "
            f"the border (the first: {int(np.argmax(inverted))}), so no hole is found in them; "
            "smaller must be deeper: invert them (255 - depth)",
            stacklevel=3,
        )


def _checked(depth: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    maps = np.asarray(depth, np.float64)
    if maps.ndim == 2:
        maps = maps[None]
    if maps.ndim != 3 or min(maps.shape[1:]) < 3:
        raise InputError(
            f"depth of shape {list(maps.shape)}: must be [n, rows, columns] or [rows, columns]"
        )
    if not np.isfinite(maps).all():
        raise InputError("depth: there are values that are not finite; mend them first")
    return maps


def quantity(column: str) -> str:
    """What a column of `measure` is of, whatever the unit: ``area`` of ``area_px2``."""
    return column[: column.rindex("_")].removesuffix("_px2")


def edge(depth: npt.NDArray[Any]) -> contours.Contour | None:
    """The edge that `measure` measures, of one depth map ``[H, W]``; None without a whole hole."""
    return _segmented(_checked(depth)[0]).edge


class _Hole(NamedTuple):
    """The edge of a hole, the pixels inside it, and the levels that belong to it."""

    edge: contours.Contour | None
    inside: npt.NDArray[np.bool_]
    plate: float
    floor: float


def _segmented(depth: npt.NDArray[np.float64]) -> _Hole:
    inside = np.zeros(depth.shape, bool)
    plate = floor = float(np.median(depth))
    level = threshold_otsu(depth) if np.ptp(depth) > 0 else plate
    edge = contours.hole_contour(depth, level)
    for _ in range(ROUNDS):
        if edge is None:
            break
        inside = polygon2mask(depth.shape, edge)
        plate, floor = float(np.median(depth[~inside])), _floor_level(depth, inside)
        edge = contours.hole_contour(depth, (plate + floor) / 2)
    return _Hole(edge, inside, plate, floor)


def _measurements(depth: npt.NDArray[np.float64]) -> dict[str, float]:
    """The measurements of one map that exist, by column."""
    hole = _segmented(depth)
    if hole.edge is None:
        return {"plate_level": hole.plate}
    lowest = float(depth[hole.inside].min())
    levels = {
        "plate_level": hole.plate,
        "floor_level": hole.floor,
        "floor_minimum_level": lowest,
        "depth_levels": hole.plate - hole.floor,
        "maximum_depth_levels": hole.plate - lowest,
        "volume_px2_levels": float((hole.plate - depth).sum()),
    }
    return levels | _outline(hole.edge) | _wall(depth, hole.edge, hole.plate, hole.floor)


def _floor_level(depth: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> float:
    if not inside.any():  # a hole smaller than a pixel
        return float(depth.min())
    distance = distance_transform_edt(inside)
    return float(depth[distance >= FLOOR * distance.max()].mean())


def _outline(edge: contours.Contour) -> dict[str, float]:
    area, centroid, covariance = contours.moments(edge)
    major, minor, angle = contours.axes(covariance)
    row, column = map(float, centroid)
    return {
        "area_px2": area,
        "equivalent_diameter_px": float(np.sqrt(4 * area / np.pi)),
        "cd_rows_px": contours.chord(edge, 0, column),
        "cd_columns_px": contours.chord(edge, 1, row),
        "major_axis_px": major,
        "minor_axis_px": minor,
        "orientation_deg": float(np.degrees(angle)),
        "centroid_row_px": row,
        "centroid_column_px": column,
        "edge_roughness_sigma_px": contours.edge_roughness(edge, centroid, angle),
    }


def _wall(
    depth: npt.NDArray[np.float64], edge: contours.Contour, plate: float, floor: float
) -> dict[str, float]:
    ends = [contours.hole_contour(depth, plate - part * (plate - floor)) for part in WALL]
    if any(end is None for end in ends):
        return {}
    upper, lower = (contours.moments(end).area for end in ends if end is not None)
    return {"wall_width_px": (upper - lower) / contours.perimeter(edge)}


def _scaled(
    table: pd.DataFrame, pixel_size_nm: float | None, level_nm: float | None
) -> pd.DataFrame:
    """Add the columns in nanometres for which the scales are known, and the angle."""
    if pixel_size_nm is not None:
        table["area_nm2"] = table["area_px2"] * pixel_size_nm**2
        for name in LENGTHS:
            table[f"{name}_nm"] = table[f"{name}_px"] * pixel_size_nm
    if level_nm is not None:
        table["depth_nm"] = table["depth_levels"] * level_nm
        table["maximum_depth_nm"] = table["maximum_depth_levels"] * level_nm
    if pixel_size_nm is not None and level_nm is not None:
        height = (WALL[1] - WALL[0]) * table["depth_nm"]
        table["volume_nm3"] = table["volume_px2_levels"] * pixel_size_nm**2 * level_nm
        table["sidewall_angle_deg"] = np.degrees(np.arctan2(height, table["wall_width_nm"]))
    return table
