"""The stages of a training: adapter and storage of each case, and the classifier of all."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from semtf import orders
from semtf.adaptation import adapter
from semtf.adaptation.task import AdaptationTask
from semtf.backend.checked_keras import keras
from semtf.budget import CLASSIFIER, Budget, case_stage
from semtf.classification import train as classification
from semtf.classification.classifier import Classifier
from semtf.config import RunConfig
from semtf.data.dataset import Dataset
from semtf.data.image_sets import SimulatorSet
from semtf.estimation.preparation import prepare
from semtf.retrieval.storage import Storage
from semtf.run import Run

CLASSIFIER_TASK = "classifier"
"""What workers are told of the classifier's training."""


def train_case(
    run: Run,
    dataset: Dataset,
    case: int,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback],
    budget: Budget | None = None,
) -> None:
    """Fit the adapter of a case and make its storage, as far as the run has them not.

    All cases but the first start from the first's weights, where the run has these.
    """
    if not run.adaptation(case).is_dir():
        start = run.config.cases[0].case
        first = run.adaptation(start)
        with run.stage(run.adaptation(case)) as folder:
            adapter.fit(
                AdaptationTask(
                    dataset.simulator(case),
                    dataset.fab(case),
                    run.config.image,
                    run.config.adaptation,
                    seed=run.config.seed + case,
                    average_depth=dataset.site_depths(case),
                    strategy=strategy,
                    seconds=budget.seconds(case_stage(case)) if budget else None,
                    callbacks=callbacks,
                ),
                folder,
                first if case != start and first.is_dir() else None,
            )
    if not run.storage(case).is_dir():
        with run.stage(run.storage(case), empty=True) as folder:
            _store(run, dataset, case, folder)


def train_classifier(
    run: Run,
    dataset: Dataset,
    weights_file: Path | None,
    folds: int | None,
    resume: bool,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback],
    budget: Budget | None = None,
) -> None:
    """Train the classifier of all cases, unless the run has one of just these cases."""
    if run.classifier.is_dir() and Classifier.load(run.classifier).cases == dataset.cases:
        return
    order = json.dumps({"train": CLASSIFIER_TASK, "folds": folds}).encode()
    orders.send(strategy, orders.Kind.TASK, order)
    with run.stage(run.classifier) as folder:
        accuracy = fit_classifier(
            dataset,
            run.config,
            folder=folder,
            strategy=strategy,
            folds=folds,
            resume=resume,
            weights_file=weights_file,
            seconds=budget.seconds(CLASSIFIER) if budget else None,
            callbacks=callbacks,
        )
        if accuracy:
            scores = {"accuracy": accuracy, "mean": float(np.mean(accuracy))}
            (folder / "folds.json").write_text(json.dumps(scores) + "\n", encoding="utf-8")


def fit_classifier(
    dataset: Dataset,
    config: RunConfig,
    *,
    folder: Path,
    strategy: tf.distribute.Strategy,
    folds: int | None,
    resume: bool,
    weights_file: Path | None = None,
    seconds: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[float]:
    """Train the classifier of a data set's cases, and cross-validate it where ``folds`` is given.

    Arguments as in `semtf.classification.train.train`; all workers call this.

    Returns:
        The accuracy of each fold.
    """
    fabs = [dataset.fab(case) for case in dataset.cases]
    images = np.concatenate([fab.images for fab in fabs])
    cases = np.repeat(dataset.cases, [len(fab) for fab in fabs])
    sites = np.concatenate([fab.sites for fab in fabs])
    classification.train(
        images,
        cases,
        sites,
        config.classification,
        seed=config.seed,
        folder=folder,
        strategy=strategy,
        weights_file=weights_file,
        resume=resume,
        seconds=seconds,
        callbacks=callbacks,
    )
    if folds is None:
        return []
    trained, _ = classification.cross_validate(
        images,
        cases,
        sites,
        dataclasses.replace(config.classification, folds=folds),
        seed=config.seed,
        folder=folder / "folds",
        strategy=strategy,
        weights_file=weights_file,
    )
    return [classifier.metrics["accuracy"] for classifier in trained if classifier.metrics]


def adapted_keys(run: Run, simulator: SimulatorSet) -> np.ndarray:
    """The pairs' SEM images as the run's adapter shows them, uint8 ``[n, H, W]``."""
    folder = run.adaptation(simulator.case)
    loaded = adapter.load(folder, run.config.image, run.config.adaptation)
    return loaded.adapt(simulator.mean_sem())


def _store(run: Run, dataset: Dataset, case: int, folder: Path) -> None:
    simulator, fab = dataset.simulator(case), dataset.fab(case)
    storage = Storage.create(
        folder,
        case=case,
        keys=adapted_keys(run, simulator),
        values=np.asarray(simulator.depth),
        names=simulator.bases,
    )
    prepare(storage, fab, run.config, folder)
