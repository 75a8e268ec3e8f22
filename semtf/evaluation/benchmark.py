"""Methods side by side on one data set whose true depth is known."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.config import RunConfig, Weights
from semtf.data.dataset import Dataset
from semtf.data.image_folder import open_images
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.png import read_png
from semtf.errors import InputError
from semtf.estimation.estimator import Estimator, load_models
from semtf.estimation.graph import EstimatorModels
from semtf.estimation.preparation import Prepared, fab_sample, fitted
from semtf.evaluation.depth_differs import values_of_the_fab
from semtf.evaluation.rmse import read_cases, score
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run

DEPTH_DIFFERS = "adapted, as if the depths differed"
"""The method that takes the sites' averages for those of the crops: Depth^S ≠ Depth^T."""

TARGET_KEYS = "SEM"
"""The folder of the target keys in that of the truth."""

BLENDINGS: tuple[tuple[str, int | None, Weights | None], ...] = (
    ("nearest", 1, "nearest"),
    ("softmax of 8", 8, "softmax"),
    ("tuned", None, None),
)
"""Name, neighbours and weights; None stands for those that were chosen in the training."""


def benchmark(run: Run, dataset: Dataset, truth: Path) -> pd.DataFrame:
    """RMSE of every method over the test images.

    The run's classifier decides the case for all methods; what differs is the keys: the
    simulator's images as they are, the run's adapted ones, and, where ``truth/SEM`` has them,
    the pairs as the fab's own microscope shows them: what perfect adaptation would reach. The
    weights called tuned are chosen for the keys as training chooses them, without labels; a run
    whose settings leave that out has no such row. Where the sites have average depths, a last row
    takes the fab's depth for another than the simulator's (`semtf.evaluation.depth_differs`).

    Args:
        run: a trained run.
        dataset: with test images.
        truth: folder with ``Depth/`` and ``cases.csv``; optionally ``SEM/``.

    Returns:
        A table with the columns method, rmse, case_1 …, images.
    """
    test = dataset.test()
    true = open_images(truth / "Depth", size=run.config.image.shape)
    if list(true.names) != list(test.names):
        raise InputError(f"{truth / 'Depth'}: its names are not those of the test images")
    cases = read_cases(truth / "cases.csv", true.names)

    def row(method: str, estimator: Estimator) -> dict[str, float | str]:
        errors = score(estimator.predict(test.images).depth, true.images, cases)
        by_case = {f"case_{case}": value for case, value in errors.rmse_by_case.items()}
        return {"method": method, "rmse": errors.rmse, **by_case, "images": errors.images}

    rows = []
    for keys in _key_kinds(truth):
        models = _models(run, dataset, truth, keys)
        for name, k, weights in BLENDINGS if run.config.retrieval.tune else BLENDINGS[:-1]:
            estimator = Estimator(models, models.blendings(k, weights))
            rows.append(row(f"{keys}, {name}", estimator))
    differing = _models_if_depth_differs(run, dataset)
    if differing is not None:
        rows.append(row(DEPTH_DIFFERS, Estimator(differing)))
    return pd.DataFrame(rows)


def _models_if_depth_differs(run: Run, dataset: Dataset) -> EstimatorModels | None:
    """The run's models with the depths that the sites' averages name; None without averages."""
    models = load_models(run, "exact")
    retrievers = {}
    for case, retriever in models.retrievers.items():
        values = values_of_the_fab(retriever.storage, dataset)
        if values is None:
            return None
        retrievers[case] = retriever.with_values(values)
    return dataclasses.replace(models, retrievers=retrievers, intervals={}, averages={})


def _key_kinds(truth: Path) -> list[str]:
    """The kinds of keys to compare; the true ones need ``truth/SEM``."""
    kinds = ["no adaptation", "adapted"]
    return [*kinds, "true target keys"] if (truth / TARGET_KEYS).is_dir() else kinds


def keys_estimators(
    keys: npt.NDArray[np.uint8], simulator: SimulatorSet, fab: FabSet, config: RunConfig
) -> Prepared:
    """The estimators of a case's pairs with other keys in place of the adapted ones.

    The index is exact, and all is chosen as training chooses it.

    Args:
        keys: uint8 ``[n, H, W]``, one for each pair.
        simulator: the pairs.
        fab: the fab's images of the case.
        config: the settings of a run.
    """
    storage = Storage(keys, np.asarray(simulator.depth), simulator.bases, simulator.case)
    retrieval = dataclasses.replace(config.retrieval, index="exact")
    retriever = Retriever.build(storage, retrieval, config.seed)
    return fitted(retriever, fab_sample(fab.images, config.seed), config)


def target_keys(simulator: SimulatorSet, folder: Path) -> npt.NDArray[np.uint8]:
    """The pairs as the fab's own microscope shows them, from ``truth/SEM/<case>``."""
    size = simulator.depth.shape[1:]
    return np.stack(
        [
            read_png(folder / bucket / f"{base}.png", size)
            for bucket, base in zip(simulator.buckets, simulator.bases, strict=True)
        ]
    )


def simulator_keys(simulator: SimulatorSet) -> npt.NDArray[np.uint8]:
    """The pairs as the simulator shows them: the mean of both exposures."""
    return np.rint(simulator.mean_sem()).astype(np.uint8)


def _models(run: Run, dataset: Dataset, truth: Path, keys: str) -> EstimatorModels:
    models = load_models(run, "exact")
    if keys == "adapted":
        return models
    prepared = {}
    for case in run.cases:
        simulator = dataset.simulator(case)
        if keys == "true target keys":
            images = target_keys(simulator, truth / TARGET_KEYS / dataset.case(case).simulator)
        else:
            images = simulator_keys(simulator)
        prepared[case] = keys_estimators(images, simulator, dataset.fab(case), run.config)
    return dataclasses.replace(
        models,
        retrievers={case: made.retriever for case, made in prepared.items()},
        intervals={case: made.intervals for case, made in prepared.items() if made.intervals},
        averages={case: made.average for case, made in prepared.items() if made.average},
    )
