"""The challenge's metric: RMSE in grey levels over all pixels of all images."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.bounds import is_whole
from semtf.data.endings import without_ending
from semtf.data.image_folder import open_images
from semtf.data.image_sets import ImageSet
from semtf.data.names import named_after
from semtf.errors import InputError
from semtf.estimation.predictions import read_column


@dataclass(frozen=True)
class Score:
    """RMSE in grey levels, over all images and by case."""

    rmse: float
    rmse_by_case: dict[int, float]
    images: int


def rmse(depth: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Root of the mean squared difference over all elements; nan without any."""
    difference = np.asarray(depth, np.float64) - np.asarray(truth, np.float64)
    return float(np.sqrt(np.mean(np.square(difference)))) if difference.size else float("nan")


def score(depth: npt.NDArray, truth: npt.NDArray, cases: npt.NDArray | None = None) -> Score:
    """RMSE of depth maps ``[n, H, W]`` against true ones, by the true case where it is known."""
    by_case = {
        int(case): rmse(depth[cases == case], truth[cases == case])
        for case in ([] if cases is None else np.unique(cases))
    }
    return Score(rmse(depth, truth), by_case, len(depth))


def read_cases(path: Path | str, names: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """The case of each named image, from a CSV with the columns ``name`` and ``case``."""
    column = read_column(path, "case", names)
    for name, case in zip(names, map(str, column), strict=True):
        if not (is_whole(case) and int(case)):
            raise InputError(
                f"{path}: {case[:100]} of {name} is no case; cases are whole numbers from 1 on"
            )
    return column.astype(np.int64)


def match(
    predictions: Path | str, truth: Path | str, size: tuple[int, int] | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.str_]]:
    """Predicted and true depth maps of two folders or zip files, matched by name.

    Args:
        predictions: folder or zip file.
        truth: folder or zip file.
        size: (rows, columns) of every map; where None, that of the first predicted one.

    Returns:
        uint8 ``[n, H, W]`` twice, and the names ``[n]``.

    Raises:
        InputError: a true depth map has no prediction, or the other way round, or two images of a
            folder have the same name but for its ending.
    """
    opened = open_images(predictions, size=size)
    named_after(opened.names, predictions)
    predicted = _by_name(opened)
    true = open_images(truth, size=opened.images.shape[1:])
    named_after(true.names, truth)
    stems = [without_ending(name) for name in true.names]
    _check_names(stems, set(predicted), predictions)
    _check_names(predicted, set(stems), truth)
    return np.stack([predicted[stem] for stem in stems]), true.images, true.names


def evaluate(
    predictions: Path | str,
    truth: Path | str,
    cases: Path | str | None = None,
    size: tuple[int, int] | None = None,
) -> Score:
    """RMSE of the depth maps of a folder or zip file against those of another, by file name."""
    depth, true, names = match(predictions, truth, size)
    return score(depth, true, None if cases is None else read_cases(cases, names))


def _check_names(expected: Iterable[str], present: Container[str], folder: Path | str) -> None:
    missing = [name for name in expected if name not in present]
    if missing:
        raise InputError(f"{folder}: has no {missing[0]}.png ({len(missing)} missing)")


def _by_name(images: ImageSet) -> dict[str, npt.NDArray[np.uint8]]:
    return {
        without_ending(name): image for name, image in zip(images.names, images.images, strict=True)
    }
