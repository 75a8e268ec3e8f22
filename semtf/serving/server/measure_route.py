"""``POST /measure``: the holes of depth maps, for the page and for other clients."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from semtf.errors import InputError
from semtf.metrology.hole import edge, measure
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.rest import parse_json

MAX_MAPS = 64
KEYS = ("depth", "pixel_size_nm", "level_nm")


def measurements(body: bytes) -> bytes:
    """Answer ``{"depth": [n][rows][columns], "pixel_size_nm": x, "level_nm": y}``.

    The scales may be left out. The answer has, for each map, one object of ``measurements`` (the
    columns of `semtf.metrology.hole.measure`, null where one does not exist) and one of ``edges``
    (the contour at half depth as [row, column] in pixels, or null).

    Raises:
        RequestError: 400, saying what is wrong with the request.
    """
    try:
        return orjson.dumps(_answer(parse_json(body)))
    except InputError as error:
        raise RequestError(400, str(error)) from error


def _answer(given: Mapping[str, Any]) -> dict[str, list[Any]]:
    if "depth" not in given:
        raise InputError("Missing 'depth' key: give a list of depth maps [n][rows][columns]")
    if unknown := sorted(set(given) - set(KEYS)):
        raise InputError(f"{unknown[0]}: not known; the keys are {', '.join(KEYS)}")
    maps = _maps(given["depth"])
    table = measure(maps, _scale(given, "pixel_size_nm"), _scale(given, "level_nm"))
    rows = [
        {str(name): _number(value) for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    return {"measurements": rows, "edges": [_points(depth) for depth in maps]}


def _maps(depth: Any) -> npt.NDArray[np.float64]:
    try:
        maps = np.asarray(depth, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("depth: must be numbers, every row as long as the others") from error
    if maps.ndim != 3 or not 1 <= len(maps) <= MAX_MAPS:
        raise InputError(
            f"depth of shape {list(maps.shape)}: must be [n][rows][columns], n from 1 to {MAX_MAPS}"
        )
    return maps


def _scale(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"{name} {value!r}: must be a positive number of nanometres")
    return value


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _points(depth: npt.NDArray[np.float64]) -> list[list[float]] | None:
    found = edge(depth)
    if found is None:
        return None
    points: list[list[float]] = np.round(found, 2).tolist()
    return points
