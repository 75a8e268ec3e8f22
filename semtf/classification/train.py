"""Train a classifier on labelled fab images, held-out sites aside, and calibrate it on those."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from semtf import orders
from semtf.backend.metrics import cohen_kappa
from semtf.backend.optimizers import adamw
from semtf.classification.calibration import (
    Reliability,
    abstention_threshold,
    cross_calibrated,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scaled_softmax,
)
from semtf.classification.classifier import NETWORKS, Classifier
from semtf.classification.fitting import fit, follow
from semtf.classification.folds import stratified_folds
from semtf.classification.pretrained import load_published_weights
from semtf.classification.voting import site_vote
from semtf.config import ClassificationConfig
from semtf.data.pipelines import split
from semtf.distribution import check_batch
from semtf.errors import InputError

BATCH = "classification.batch"

Images = NDArray[np.uint8]
Ints = NDArray[np.integer]
Mask = NDArray[np.bool_]


def train(
    images: Images,
    cases: Ints,
    sites: NDArray[np.str_],
    config: ClassificationConfig,
    *,
    seed: int,
    folder: Path,
    strategy: tf.distribute.Strategy | None = None,
    weights_file: Path | None = None,
    held_out: Mask | None = None,
    resume: bool = False,
    seconds: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Classifier:
    """Train, calibrate on held-out sites and save into ``folder``.

    Where several workers train, all of them call this. The chief alone reads and writes the
    folder, calls ``callbacks`` and calibrates.

    Args:
        images: grey levels, uint8 ``[n, height, width]``.
        cases: ``[n]``, the case of each image, 1–4. With a single one there is nothing to learn,
            and training takes one step.
        sites: ``[n]``, the site of each image; images of one site stay on one side of the split.
        config: network, schedule and augmentation.
        seed: of the split, the initial weights, the order and the augmentation.
        folder: where ``classifier.json``, ``model.weights.h5`` and ``history.csv`` go, and, until
            training ends, the checkpoint to resume from.
        strategy: places the variables and splits each batch; the current one where None.
        weights_file: published EfficientNet-B0 weights to start from.
        held_out: ``[n]``, the images to calibrate on; chosen by site where None.
        resume: go on from the checkpoint in ``folder``, if there is one.
        seconds: the time that ``fit`` may take, looked at after each epoch; any where None.
        callbacks: other Keras callbacks of ``fit``. Their ``self.model`` is the network, named
            after ``config.backbone``; the logs of an epoch's end hold loss and accuracy, and
            ``val_loss`` and ``val_accuracy`` where images are held out. They are called when the
            epoch's checkpoint is written.

    Returns:
        The classifier, as `Classifier.load` would read it.

    Raises:
        InputError: there are no images, lengths differ, or the batch cannot be split evenly over
            the strategy's replicas.
    """
    check_batch(BATCH, config.batch, strategy)
    _check(images, cases, sites)
    names = tuple(int(case) for case in np.unique(cases))
    if len(names) == 1:
        config = dataclasses.replace(config, epochs=1, steps_per_epoch=1)
    labels = np.searchsorted(names, cases).astype(np.int32)
    if held_out is None:
        held_out = hold_out(cases, sites, config, seed)
    keras.utils.set_random_seed(seed)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = NETWORKS[config.backbone](images.shape[1:], len(names), **network_settings(config))
        if weights_file is not None and orders.is_chief(strategy):
            start_from(model, weights_file, config)
        steps = config.steps_per_epoch or math.ceil(int((~held_out).sum()) / config.batch)
        model.compile(
            optimizer(config),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            # Keras would take "accuracy" for the binary one where there is a single case.
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            # XLA on CPU made EfficientNet's training step six times slower.
            jit_compile=False,
        )
        model.optimizer.build(model.trainable_variables)
    training = images[~held_out], labels[~held_out]
    validation = images[held_out], labels[held_out]
    if not orders.is_chief(strategy):
        follow(model, training, validation, config, seed=seed)
        return Classifier(model, names, config.backbone)
    checkpoint = fit(
        model,
        training,
        validation,
        config,
        steps=steps,
        seed=seed,
        folder=folder,
        resume=resume,
        seconds=seconds,
        callbacks=callbacks,
    )
    classifier = Classifier(model, names, config.backbone)
    calibrate(classifier, images[held_out], labels[held_out], sites[held_out], config.wrong)
    classifier.save(folder)
    checkpoint.remove()
    return classifier


def optimizer(config: ClassificationConfig) -> keras.optimizers.Optimizer:
    """AdamW with the rate that the schedule of a training begins with."""
    return adamw(config.learning_rate, config.weight_decay)


def cross_validate(
    images: Images,
    cases: Ints,
    sites: NDArray[np.str_],
    config: ClassificationConfig,
    *,
    seed: int,
    folder: Path,
    strategy: tf.distribute.Strategy | None = None,
    weights_file: Path | None = None,
) -> tuple[list[Classifier], NDArray[np.float32]]:
    """Train one classifier a fold, each with its fold of sites held out.

    Arguments as in `train`; ``config.folds`` says how many. Fold k is saved in
    ``folder/fold_k``.

    Returns:
        The classifiers, and the probabilities ``[n, cases]`` of each image under the one
        classifier that was not trained on its site. Each classifier's temperature comes from the
        very images it predicts here, one number for all of them.

    Raises:
        InputError: a case has fewer sites than there are folds.
    """
    _check(images, cases, sites)
    fold = stratified_folds(cases, sites, config.folds, seed)
    probabilities = np.zeros((len(images), len(np.unique(cases))), np.float32)
    classifiers = []
    for k in range(config.folds):
        classifier = train(
            images,
            cases,
            sites,
            config,
            seed=seed + k,
            folder=folder / f"fold_{k}",
            strategy=strategy,
            weights_file=weights_file,
            held_out=fold == k,
        )
        probabilities[fold == k] = classifier.probabilities(images[fold == k])
        classifiers.append(classifier)
    return classifiers, probabilities


def calibrate(
    classifier: Classifier, images: Images, labels: Ints, sites: NDArray[np.str_], wrong: float
) -> None:
    """Set temperature, threshold and metrics of ``classifier`` from images it has not seen.

    The metrics are those of a calibration that has not seen the image's site, either: temperature
    and threshold are fitted on the other sites (`cross_calibrated`).

    Args:
        classifier: changed in place.
        images: grey levels, uint8 ``[n, height, width]``; without any, nothing is calibrated.
        labels: ``[n]``, index of each image's case in ``classifier.cases``.
        sites: ``[n]``, the site of each image; sites of different cases are different sites.
        wrong: the largest accepted share of wrong images above the threshold.
    """
    own_sites = np.char.add(np.char.add(labels.astype(str), "/"), sites)
    logits = classifier.logits(images)
    classifier.temperature = fit_temperature(logits, labels)
    fitted = scaled_softmax(logits, classifier.temperature)
    classifier.threshold = abstention_threshold(fitted, labels, wrong)
    probabilities, kept = cross_calibrated(logits, labels, own_sites, wrong)
    right = probabilities.argmax(axis=1) == labels
    votes = site_vote(probabilities, own_sites).argmax(axis=1)
    voted = votes == labels
    known = len(labels) > 0
    classifier.metrics = {
        "images": len(labels),
        "accuracy": float(right.mean()) if known else None,
        "cohen_kappa": cohen_kappa(labels, probabilities.argmax(axis=1), len(classifier.cases)),
        "calibration_error_before": expected_calibration_error(scaled_softmax(logits, 1.0), labels),
        "calibration_error": expected_calibration_error(probabilities, labels),
        "accuracy_with_votes_of_sites": float(voted.mean()) if known else None,
        "kept": float(kept.mean()) if known else None,
        "kept_right": float(right[kept].mean()) if kept.any() else None,
        "reliability": _bins(reliability(probabilities, labels)),
        "sites": _by_site(np.array(classifier.cases), labels, sites, votes, right),
    }


def _by_site(
    cases: Ints, labels: Ints, sites: NDArray[np.str_], votes: Ints, right: Mask
) -> list[dict[str, Any]]:
    """How the images of each site were classified, and the case that they vote for."""
    images = {"case": cases[labels], "site": sites, "vote": cases[votes], "right": right}
    found = pd.DataFrame(images).groupby(["case", "site"], as_index=False)
    table = found.agg(images=("right", "size"), right=("right", "mean"), vote=("vote", "first"))
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _bins(diagram: Reliability) -> list[dict[str, float]]:
    """The bins of a reliability diagram that hold images."""
    return [
        {"confidence": float(c), "accuracy": float(a), "count": int(n)}
        for c, a, n in zip(diagram.confidence, diagram.accuracy, diagram.count, strict=True)
        if n
    ]


def _check(images: Images, cases: Ints, sites: NDArray[np.str_]) -> None:
    if not len(images):
        raise InputError("no fab images to train the classifier on; check train/SEM")
    if not len(images) == len(cases) == len(sites):
        raise InputError(
            f"{len(images)} images, {len(cases)} cases and {len(sites)} sites: "
            "the classifier needs one case and one site for each image"
        )


def hold_out(cases: Ints, sites: NDArray[np.str_], config: ClassificationConfig, seed: int) -> Mask:
    """Mark the images ``[n]`` of the first fold of sites, or of a share of every case's sites.

    Of a case that has a single site no share is marked.
    """
    if config.hold_out == "fold":
        return stratified_folds(cases, sites, config.folds, seed) == 0
    held_out = np.zeros(len(cases), bool)
    for case in np.unique(cases):
        members = np.flatnonzero(cases == case)
        if len(np.unique(sites[members])) > 1:
            held_out[members] = split(sites[members], config.validation, seed + int(case))
    return held_out


def network_settings(config: ClassificationConfig) -> dict[str, Any]:
    """What the config says of the network, as arguments of its function in `NETWORKS`."""
    if config.backbone == "efficientnet_b0":
        return {
            "dropout": config.dropout,
            "drop_connect": config.drop_connect,
            "momentum": config.momentum,
            "synchronized": config.synchronized,
        }
    return {"momentum": config.momentum, "synchronized": config.synchronized}


def start_from(model: keras.Model, path: Path, config: ClassificationConfig) -> None:
    """Put published weights into a new network; raises InputError where they do not fit."""
    if config.backbone != "efficientnet_b0":
        raise InputError(
            f"{path}: published weights fit efficientnet_b0 only; set "
            "classification.backbone to it or leave the weights out"
        )
    load_published_weights(model, path)
