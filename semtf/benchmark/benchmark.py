"""Methods side by side on one data set whose true depth is known."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semtf.benchmark.estimates import Estimates
from semtf.benchmark.estimators import fit
from semtf.benchmark.registry import Method
from semtf.benchmark.rows import Row, Rows, fingerprint
from semtf.benchmark.scores import Scores, gaps_closed
from semtf.benchmark.world import MissingPartError, Settings, World, seeded
from semtf.data.dataset import Dataset
from semtf.machine import peak_memory, reset_peak_memory
from semtf.progress import inform, progress
from semtf.run import Run

COLUMNS = (
    "method", "rmse", "name", "seed", "pairs", "images", "low", "high", "plate", "wall", "floor",
    "level", "shape", "gap_closed", "coverage", "cd_rows_bias", "cd_rows_3s", "cd_columns_bias",
    "cd_columns_3s", "depth_bias", "depth_3s", "fit_s", "image_ms", "peak_gib",
)  # fmt: skip

TEXTS = ("method", "name", "seed", "images")
"""Columns that are no fractions."""


def benchmark(
    dataset: Dataset,
    truth: Path,
    methods: Sequence[Method],
    settings: Settings,
    *,
    run: Run | None = None,
    sites: Path | None = None,
    cases: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    rows: Rows | None = None,
) -> pd.DataFrame:
    """Every method on the test images of the compared cases.

    The run's classifier decides the case for all methods, and blends two cases where it is in
    doubt; without a run the true case is given. What differs are keys and estimators
    (`semtf.benchmark.registry`).

    Args:
        dataset: with test images.
        truth: folder with ``Depth/`` and ``cases.csv``; optionally ``SEM/``.
        methods: what to compare.
        settings: how, and where trained networks are kept.
        run: a trained run; its cases are compared.
        sites: CSV of the test images' sites, which the bootstrap draws; it draws images where
            None.
        cases: the cases to compare; those of the run or data set where None.
        seeds: that of the settings where None.
        rows: finished rows, which are not computed again.

    Returns:
        A row a method and seed, with `COLUMNS` and ``case_K`` for every case. Methods that need
        what is not there are left out, which stderr says.

    Raises:
        InputError: the truth does not fit the test images.
    """
    rows = rows or Rows(None)
    found: list[Row] = []
    tried = [settings.seed] if seeds is None else list(dict.fromkeys(seeds))
    with progress("Benchmark", len(tried) * len(methods)) as advance:
        for seed in tried:
            world = World(dataset, truth, seeded(settings, seed), run, sites, cases)
            mark = fingerprint(world.test, world.settings.config, run)
            scores: Scores | None = None
            keys: str | None = None
            for method in _by_keys(methods):
                if method.keys != keys:
                    keys = method.keys
                    world.forget()
                key = {"name": method.name, "seed": seed, "pairs": settings.pairs, "of": mark}
                row = rows.find(key)
                if row is None:
                    scores = scores or Scores(world.test)
                    row = _measured(world, method, scores, key)
                    if row is not None:
                        rows.add(row)
                if row is not None:
                    found.append(row)
                advance(1, method.name)
    order = {method.name: i for i, method in enumerate(methods)}
    found.sort(key=lambda row: (tried.index(row["seed"]), order[row["name"]]))
    return table(found)


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table, the cases behind the RMSE of all."""
    made = pd.DataFrame(rows)
    if made.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    made["gap_closed"] = gaps_closed(made)
    cases = sorted((c for c in map(str, made) if c.startswith("case_")), key=_number)
    made = made[[*COLUMNS[:2], *cases, *COLUMNS[2:]]]
    # A column in which no row has a number is one of numbers all the same.
    return made.astype({c: float for c in made if c not in TEXTS})


def _number(column: str) -> int:
    return int(column.removeprefix("case_"))


def _by_keys(methods: Sequence[Method]) -> list[Method]:
    """The methods, those of the same keys together: what is fitted to keys is held once."""
    order = {keys: i for i, keys in enumerate(dict.fromkeys(method.keys for method in methods))}
    return sorted(methods, key=lambda method: order[method.keys])


def _measured(world: World, method: Method, scores: Scores, key: Row) -> Row | None:
    """The row of a method; None where something that it needs is not there."""
    reset_peak_memory()
    try:
        found, times = estimates(world, method)
    except MissingPartError as error:
        inform(f"{method.name}: left out, {error}")
        return None
    peak = {"peak_gib": peak_memory() / 2**30}
    return {**key, "method": method.title, **scores(found, world.settings.seed), **times, **peak}


def estimates(world: World, method: Method) -> tuple[Estimates, dict[str, float]]:
    """Depth and σ of all test images, and how long fitting and estimating took."""
    images, shares = world.test.images, world.shares
    depth = np.zeros(images.shape, np.float64)
    square = np.zeros(images.shape, np.float64)
    calibrated, fitting, estimating = True, 0.0, 0.0
    for column, number in enumerate(world.numbers):
        case, mine = world.case(number), shares[:, column] > 0
        saved, began = case.saved, time.perf_counter()
        estimator = fit(case, method)
        fitting += time.perf_counter() - began + case.saved - saved
        if not mine.any():
            continue
        part = shares[mine, column][:, None, None].astype(np.float64)
        estimator(images[mine][:1], world.test.depth[mine][:1])  # the graph is made once
        began = time.perf_counter()
        found = estimator(images[mine], world.test.depth[mine])
        estimating += time.perf_counter() - began
        depth[mine] += part * found.depth
        calibrated &= found.sigma is not None
        known = np.zeros_like(found.depth) if found.sigma is None else found.sigma
        square[mine] += part * sum(np.square(x.astype(np.float64)) for x in (known, found.depth))
    sigma = np.sqrt(np.maximum(square - depth**2, 0.0)).astype(np.float32)
    times = {"fit_s": fitting, "image_ms": 1e3 * estimating / max(1, int((shares > 0).sum()))}
    return Estimates(depth.astype(np.float32), sigma if calibrated else None), times
