"""A data set made of arrays in memory."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from semtf.cases import Cases, check_cases, find_case
from semtf.data.average_depth import COLUMNS
from semtf.data.dataset import IN_MEMORY, Dataset
from semtf.data.image_sets import FabSet, ImageSet, Names, SimulatorSet, name_array
from semtf.data.images import Gray, Size
from semtf.errors import InputError


def dataset_of_arrays(
    sem: Mapping[int, npt.ArrayLike],
    depth: Mapping[int, npt.ArrayLike],
    fab: Mapping[int, npt.ArrayLike],
    bases: Mapping[int, Sequence[str]] | None,
    sites: Mapping[int, Sequence[str]] | None,
    average_depth: Mapping[int, Mapping[str, float]] | None,
    test: npt.ArrayLike | None,
    table: Cases,
) -> Dataset:
    """What `Dataset.from_arrays` gives, with the same arguments."""
    import pandas as pd

    check_cases(table, "cases")
    numbers = tuple(sorted(sem))
    if not numbers or set(depth) != set(sem) or set(fab) != set(sem):
        raise InputError(
            "sem, depth and fab: give all three for the same cases; they have "
            f"{sorted(sem)}, {sorted(depth)} and {sorted(fab)}"
        )
    for number in numbers:
        find_case(table, number)
    simulators = {
        case: _simulator_set(case, sem[case], depth[case], (bases or {}).get(case))
        for case in numbers
    }
    size = simulators[numbers[0]].depth.shape[1:]
    fabs = {case: _fab_set(case, fab[case], (sites or {}).get(case), size) for case in numbers}
    for case in numbers:
        _require_size(f"sem[{case}]", simulators[case].depth, size)
    rows = [
        (case, str(site), float(value))
        for case, averages in (average_depth or {}).items()
        for site, value in averages.items()
    ]
    averages = pd.DataFrame(rows, columns=COLUMNS).astype({"case": int, "depth": float})
    images = np.zeros((0, *size), np.uint8) if test is None else _stack("test", test)
    _require_size("test", images, size)
    tests = ImageSet(images, _numbered("image", len(images)))
    return Dataset(IN_MEMORY, table, numbers, averages, [], simulators, fabs, tests)


def _simulator_set(
    case: int, sem: npt.ArrayLike, depth: npt.ArrayLike, bases: Sequence[str] | None
) -> SimulatorSet:
    maps = _stack(f"depth[{case}]", depth)
    images = np.asarray(sem)
    if images.ndim == 3:
        images = np.repeat(images[:, None], 2, axis=1)
    if images.dtype != np.uint8 or images.shape != (len(maps), 2, *maps.shape[1:]):
        raise InputError(
            f"sem[{case}]: {images.dtype} {list(np.shape(sem))} for depth maps "
            f"{list(maps.shape)}; give uint8 [n, 2, rows, columns] or [n, rows, columns]"
        )
    names = _names(f"bases[{case}]", bases, len(maps), "hole")
    if len(set(names.tolist())) != len(names):
        raise InputError(f"bases[{case}]: a hole is named twice; give each pair its own name")
    return SimulatorSet(case, images, maps, names, name_array(["0"] * len(maps)))


def _fab_set(case: int, images: npt.ArrayLike, sites: Sequence[str] | None, size: Size) -> FabSet:
    stack = _stack(f"fab[{case}]", images)
    _require_size(f"fab[{case}]", stack, size)
    names = _numbered("image", len(stack))
    return FabSet(case, stack, _names(f"sites[{case}]", sites, len(stack), "image"), names)


def _stack(name: str, images: npt.ArrayLike) -> Gray:
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or array.ndim != 3:
        raise InputError(
            f"{name}: {array.dtype} {list(array.shape)}; give uint8 [n, rows, columns]"
        )
    if not len(array):
        raise InputError(f"{name}: there are no images in it")
    return array


def _require_size(name: str, images: Gray, size: Size) -> None:
    if images.shape[1:] != tuple(size):
        raise InputError(
            f"{name}: {images.shape[1]} x {images.shape[2]} pixels, the others have "
            f"{size[0]} x {size[1]}; crop or resample them"
        )


def _names(name: str, given: Sequence[str] | None, count: int, word: str) -> Names:
    if given is None:
        return _numbered(word, count)
    if len(given) != count:
        raise InputError(f"{name}: {len(given)} names for {count} images")
    return name_array(map(str, given))


def _numbered(word: str, count: int) -> Names:
    return name_array(f"{word}_{i:06d}" for i in range(count))
