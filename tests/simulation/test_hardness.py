"""How hard the fabs are: retrieval with unadapted, tone-matched and true target keys."""

import numpy as np
import pytest
from skimage.exposure import match_histograms

from semtf.cases import CHALLENGE, Case, find_case
from semtf.simulation.geometry import draw_axes, draw_structures
from semtf.simulation.microscope import FABS, SIMULATOR
from semtf.simulation.rendering import Scene, render

SHIFTS = [(row, column) for row in range(-2, 3) for column in range(-2, 3)]


def scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    axes = draw_axes(rng, count)
    return [Scene.of(draw_structures(rng, axes[i : i + 50])) for i in range(0, count, 50)]


def images(found: list[Scene], case: Case, kind, rng, exposures: int = 1) -> np.ndarray:
    parts = [render(scene, case, kind, rng, exposures).mean(axis=0) for scene in found]
    return np.concatenate(parts).astype(np.float32)


def depths(found: list[Scene], case: Case) -> np.ndarray:
    return np.concatenate([scene.structures.depth(case) for scene in found]).astype(np.float32)


def shifted(fields: np.ndarray, row: int, column: int) -> np.ndarray:
    padded = np.pad(fields, ((0, 0), (2, 2), (2, 2)), mode="edge")
    height, width = fields.shape[1:]
    return padded[:, 2 - row : 2 - row + height, 2 - column : 2 - column + width]


def unit(fields: np.ndarray) -> np.ndarray:
    flat = fields.reshape(len(fields), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def nearest_rmse(keys, values, queries, truth) -> float:
    """RMSE of the nearest key's depth over all shifts, the depth shifted along."""
    query = unit(queries)
    best, estimate = np.full(len(query), -np.inf), np.zeros_like(truth)
    for row, column in SHIFTS:
        similarity = query @ unit(shifted(keys, row, column)).T
        nearest, found = similarity.argmax(axis=1), similarity.max(axis=1)
        better = found > best
        best[better] = found[better]
        estimate[better] = shifted(values[nearest[better]], row, column)
    return float(np.sqrt(np.square(estimate - truth).mean()))


def measure(fab: str, number: int, pairs: int, train: int, test: int) -> tuple[float, float, float]:
    """RMSE without adaptation, with histogram matching and with true target keys."""
    case, rng = find_case(CHALLENGE, number), np.random.default_rng(number)
    storage, site, queries = scenes(rng, pairs), scenes(rng, train), scenes(rng, test)
    values, truth = depths(storage, case), depths(queries, case)
    plain = images(storage, case, SIMULATOR, rng, exposures=2)
    target = images(site, case, FABS[fab], rng)
    matched = match_histograms(np.rint(plain), target).astype(np.float32)
    true_keys = images(storage, case, FABS[fab], rng)
    query = images(queries, case, FABS[fab], rng)
    none, histogram, true = (
        nearest_rmse(keys, values, query, truth) for keys in (plain, matched, true_keys)
    )
    return none, histogram, true


def assert_hard(none: float, histogram: float, true: float) -> None:
    assert none >= 1.5 * true
    assert (none - histogram) / (none - true) < 0.5


def test_struct_needs_more_than_histogram_matching():
    assert_hard(*measure("struct", 1, pairs=250, train=100, test=50))


def test_dose_needs_no_adaptation():
    none, _, true = measure("dose", 1, pairs=250, train=50, test=50)
    assert none < 1.15 * true


@pytest.mark.slow
@pytest.mark.parametrize("case", [1, 2, 3, 4])
def test_struct_is_hard_at_full_size(case):
    assert_hard(*measure("struct", case, pairs=1000, train=400, test=400))


@pytest.mark.slow
@pytest.mark.parametrize("case", [1, 4])
def test_histogram_matching_solves_tonal(case):
    _, histogram, true = measure("tonal", case, pairs=1000, train=400, test=200)
    assert histogram < 1.1 * true
