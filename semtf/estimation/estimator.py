"""Depth maps from SEM images with a trained run."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.classification.batchnorm_folding import folded
from semtf.classification.classifier import Classifier
from semtf.classification.voting import site_vote
from semtf.config import Align, IndexKind, Weights
from semtf.errors import InputError
from semtf.estimation.evidence import Evidence
from semtf.estimation.graph import Estimate, EstimatorModels, classify, estimate
from semtf.estimation.preparation import read_limit
from semtf.estimation.result import FLAGS, DepthResult
from semtf.estimation.uncertainty import Intervals
from semtf.progress import progress
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run

BATCH = 128
AT_A_TIME = 4


class Estimator:
    """SEM images to depth maps: classify, search, blend. Made by `load`."""

    def __init__(
        self, parts: EstimatorModels, k: int | None = None, weights: Weights | None = None
    ) -> None:
        """``k`` neighbours with these weights; what each case's retriever chose where None."""
        self.parts = parts
        self.k = k
        self.weights = weights
        self.shape = next(iter(parts.retrievers.values())).shape
        spec = tf.TensorSpec([None, *self.shape], tf.float32)
        share = tf.TensorSpec([None, len(parts.cases)], tf.float32)
        self._classify = tf.function(lambda images: classify(images, parts), input_signature=[spec])
        self._estimate = tf.function(
            lambda images, probability: estimate(images, probability, parts, k, weights),
            input_signature=[spec, share],
        )

    @property
    def calibrated(self) -> bool:
        """Whether sigma comes from calibrated intervals."""
        return self.parts.calibrated(self.k, self.weights)

    def classify(
        self,
        images: npt.NDArray[Any],
        sites: npt.NDArray[np.str_] | None = None,
        batch: int = BATCH,
    ) -> npt.NDArray[np.float32]:
        """Calibrated probability of each case of ``parts.cases``, float32 ``[n, c]``.

        Args:
            images: as in `predict`.
            sites: str ``[n]``; the images of a site share one case and vote on it.
            batch: images at a time.
        """
        images = self._checked(images)
        parts = [part.numpy() for part in _in_batches(self._classify, batch, images)]
        none = np.zeros((0, len(self.parts.cases)), np.float32)
        probability = np.concatenate([none, *parts])
        return probability if sites is None else site_vote(probability, sites)

    def predict(
        self,
        images: npt.NDArray[Any],
        probability: npt.NDArray[np.float32] | None = None,
        batch: int = BATCH,
    ) -> DepthResult:
        """Estimate depth maps.

        Args:
            images: SEM images in grey levels, uint8 or float ``[n, H, W]``.
            probability: of each case, ``[n, c]``, where it is known better than `classify`
                knows it without sites.
            batch: images at a time.

        Raises:
            InputError: the shape is not that of the run, or a value is not finite.
        """
        images = self._checked(images)
        if probability is None:
            probability = self.classify(images, batch=batch)
        # TensorFlow's operations do not all take no images, so one goes in and is cut off.
        given = images if len(images) else np.zeros((1, *self.shape))
        odds = probability if len(images) else np.ones((1, len(self.parts.cases)), np.float32)
        results = []
        with progress("Estimating depth", len(given)) as advance:
            for result in _in_batches(self._estimate, batch, given, odds):
                results.append(result)
                advance(len(result[0]), "")
        columns = (np.concatenate(c)[: len(images)] for c in zip(*results, strict=True))
        return self._result(Estimate(*columns))

    def _checked(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        images = np.asarray(images)
        if images.ndim != 3 or images.shape[1:] != tuple(self.shape):
            raise InputError(
                f"images of shape {list(images.shape)}: this run takes [n, {self.shape[0]}, "
                f"{self.shape[1]}] grey levels (rows, columns)"
            )
        if not np.isfinite(images).all():
            raise InputError("images: there are values that are not finite; mend them first")
        return images

    def _result(self, found: Estimate) -> DepthResult:
        places = [self.parts.cases.index(case) for case in found.case]
        flags = [
            [name for field, name in FLAGS.items() if getattr(found, field)[i]]
            for i in range(len(found.depth))
        ]
        return DepthResult(
            depth=found.depth,
            sigma=found.sigma,
            case=found.case,
            case_probability=found.case_probability[np.arange(len(places)), places],
            similarity=found.similarity,
            neighbours=Evidence(
                {case: part.storage.names for case, part in self.parts.retrievers.items()}, found
            ),
            flags=flags,
        )


def _in_batches(
    function: Callable[..., Any], batch: int, *arrays: npt.NDArray[Any]
) -> Iterator[Any]:
    """Results of ``function`` on slices of the arrays, in order.

    A few are under way at a time: between its many small operations one batch leaves cores idle.
    """

    def one(start: int) -> Any:
        parts = (array[start : start + batch] for array in arrays)
        return function(*(tf.constant(part, tf.float32) for part in parts))

    with ThreadPoolExecutor(min(AT_A_TIME, os.cpu_count() or 1)) as pool:
        yield from pool.map(one, range(0, len(arrays[0]), batch))


def load(
    run: Path | str,
    *,
    k: int | None = None,
    weights: Weights | None = None,
    index: IndexKind | None = None,
    align: Align | None = None,
    recall: float | None = None,
) -> Estimator:
    """The estimator of a run.

    Args:
        run: the run's folder.
        k: neighbours an image; the number chosen for each case where None.
        weights: how they are weighted; the way chosen for each case where None.
        index: the kind of search; the run's own where None.
        align: how keys and images are aligned; the run's own way where None. For another way
            the indexes are built anew, in memory.
        recall: share of the best rows that a ScaNN index must find; as trained where None.

    Raises:
        InputError: there is no run, or it has no trained case.
    """
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{run}: not trained to the end; go on with semtf-train --resume")
    if k is not None and k < 1:
        raise InputError(f"--k {k}: at least one neighbour is needed")
    return Estimator(load_models(opened, index, align, recall), k, weights)


def load_models(
    run: Run,
    index: IndexKind | None = None,
    align: Align | None = None,
    recall: float | None = None,
) -> EstimatorModels:
    """The classifier and retrievers of a run; arguments as in `load`."""
    classifier = Classifier.load(run.classifier)
    folders = {case: run.storage(case) for case in run.cases}
    return EstimatorModels(
        classifier=folded(classifier.model),
        cases=classifier.cases,
        temperature=classifier.temperature,
        threshold=classifier.threshold,
        retrievers={
            case: _retriever(run, folder, index, align, recall) for case, folder in folders.items()
        },
        limits={case: read_limit(folder) for case, folder in folders.items()},
        intervals=intervals(run),
    )


def intervals(run: Run) -> dict[int, Intervals]:
    """The calibrated intervals of a run's cases, where there are any."""
    found = {case: Intervals.load(run.storage(case)) for case in run.cases}
    return {case: some for case, some in found.items() if some is not None}


def _retriever(
    run: Run,
    folder: Path,
    index: IndexKind | None,
    align: Align | None,
    recall: float | None,
) -> Retriever:
    storage = Storage.open(folder)
    retriever = Retriever.load(folder, storage, index)
    if align is not None and align != retriever.config.align:
        retriever = retriever.aligned(align, run.config.seed)
    if recall is not None:
        retriever.tune_index(recall, run.config.seed)
    return retriever
