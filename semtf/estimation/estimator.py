"""Depth maps from SEM images with a trained run."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.classification.voting import site_vote
from semtf.config import Align, IndexChoice, Weights
from semtf.data.grey_levels import check_grey_levels
from semtf.errors import InputError
from semtf.estimation.evidence import Evidence
from semtf.estimation.graph import Estimate, classify, estimate
from semtf.estimation.inputs import Inputs, read_inputs
from semtf.estimation.loading import load_models
from semtf.estimation.models import EstimatorModels
from semtf.estimation.result import FLAGS, DepthResult
from semtf.progress import progress
from semtf.retrieval.blending import Blending
from semtf.retrieval.weighting import weight_function
from semtf.run import Run

BATCH = 128
BATCHES_AT_A_TIME = 4
MOST_NEIGHBOURS = 1 << 20


class Estimator:
    """SEM images to depth maps: classify, search, blend. Made by `load`."""

    def __init__(
        self, models: EstimatorModels, blendings: Mapping[int, Blending] | None = None
    ) -> None:
        """How neighbours are blended may be said by case; else each case's settings say so."""
        self.models = models
        self.blendings = models.blendings() if blendings is None else dict(blendings)
        self.shape = next(iter(models.retrievers.values())).shape
        spec = tf.TensorSpec([None, *self.shape], tf.float32)
        probability = tf.TensorSpec([None, len(models.cases)], tf.float32)
        self._classify = tf.function(
            lambda images: classify(images, models), input_signature=[spec]
        )
        self._estimate = tf.function(
            lambda images, probability: estimate(images, probability, models, self.blendings),
            input_signature=[spec, probability],
        )

    def __repr__(self) -> str:
        cases = ", ".join(map(str, self.models.retrievers))
        pairs = sum(len(r.storage) for r in self.models.retrievers.values())
        return f"Estimator(cases {cases}: {pairs} pairs, images {self.shape[0]} x {self.shape[1]})"

    @property
    def calibrated(self) -> bool:
        """Whether sigma comes from calibrated intervals."""
        return self.models.calibrated(self.blendings)

    def classify(
        self,
        images: Any,
        sites: npt.NDArray[np.str_] | None = None,
        batch: int = BATCH,
    ) -> npt.NDArray[np.float32]:
        """Calibrated probability of each case of ``models.cases``, float32 ``[n, c]``.

        Args:
            images: as in `predict`.
            sites: str ``[n]``; the images of a site share one case and vote on it.
            batch: images at a time.
        """
        images, _ = self._checked(images)
        batches = [part.numpy() for part in _in_batches(self._classify, batch, images)]
        no_images = np.zeros((0, len(self.models.cases)), np.float32)
        probability = np.concatenate([no_images, *batches])
        return probability if sites is None else site_vote(probability, sites)

    def predict(
        self,
        images: Any,
        probability: npt.NDArray[np.float32] | None = None,
        batch: int = BATCH,
    ) -> DepthResult:
        """Estimate depth maps.

        Args:
            images: SEM images in grey levels 0–255: an array ``[n, H, W]`` or ``[n, H, W, 1]``,
                uint8 or float; or a folder, a zip file, a list of paths, a generator or a
                `tf.data.Dataset` (`semtf.estimation.inputs`). Names of files go into the result.
            probability: of each case, ``[n, c]``, where it is known better than `classify`
                knows it without sites.
            batch: images at a time.

        Raises:
            InputError: the shape is not that of the run, a value is not finite, or the values
                cannot be grey levels (negative, above 255, floats of at most 1 in an image).
        """
        images, names = self._checked(images)
        if probability is None:
            probability = self.classify(images, batch=batch)
        count = len(images)
        if count == 0:
            # Not all of TensorFlow's operations take an empty batch, so an image stands in.
            images = np.zeros((1, *self.shape))
            probability = np.ones((1, len(self.models.cases)), np.float32)
        estimates = []
        with progress("Estimating depth", len(images)) as advance:
            for part in _in_batches(self._estimate, batch, images, probability):
                estimates.append(part)
                advance(len(part.depth), "")
        fields = (np.concatenate(parts)[:count] for parts in zip(*estimates, strict=True))
        return self._result(Estimate(*fields), names)

    def _pair_names(self) -> dict[int, npt.NDArray[np.str_]]:
        """By case, the name of each pair that an estimate has the number of."""
        return {case: r.storage.names for case, r in self.models.retrievers.items()}

    def _checked(self, images: Any) -> Inputs:
        inputs = read_inputs(images, self.shape)
        check_grey_levels(inputs.images)
        return inputs

    def _result(self, estimate: Estimate, names: list[str] | None) -> DepthResult:
        logits = [self.models.cases.index(case) for case in estimate.case]
        flags = [
            [name for field, name in FLAGS.items() if getattr(estimate, field)[i]]
            for i in range(len(estimate.depth))
        ]
        return DepthResult(
            depth=estimate.depth,
            sigma=estimate.sigma,
            case=estimate.case,
            case_probability=estimate.case_probability[np.arange(len(logits)), logits],
            similarity=estimate.similarity,
            neighbours=Evidence(self._pair_names(), estimate),
            flags=flags,
            errors=self.models.errors if self.calibrated else {},
            names=names,
        )


def _in_batches(
    function: Callable[..., Any], batch: int, *arrays: npt.NDArray[Any]
) -> Iterator[Any]:
    """Results of ``function`` on slices of the arrays, in order.

    Several batches are under way at a time: between its many small operations one batch leaves
    cores idle.
    """

    def result_from(start: int) -> Any:
        slices = (array[start : start + batch] for array in arrays)
        return function(*(tf.constant(part, tf.float32) for part in slices))

    with ThreadPoolExecutor(min(BATCHES_AT_A_TIME, os.cpu_count() or 1)) as pool:
        yield from pool.map(result_from, range(0, len(arrays[0]), batch))


def load(
    run: Path | str | Run,
    *,
    k: int | None = None,
    weights: Weights | None = None,
    index: IndexChoice | None = None,
    align: Align | None = None,
    recall: float | None = None,
) -> Estimator:
    """The estimator of a run.

    Args:
        run: a run, or its folder.
        k: neighbours an image; the number chosen for each case where None.
        weights: how they are weighted, a name of `semtf.config.WEIGHTS`; as chosen for each case
            where None.
        index: the kind of search: ``"auto"`` is ScaNN where it loads and the exact search
            elsewhere. None is the exact search for a run trained with it, else ``"auto"``.
        align: how keys and images are aligned; as in the run's settings where None. For another
            alignment the indexes are built anew, in memory.
        recall: share of the best embeddings that a ScaNN index must find; as trained where None.

    Raises:
        InputError: there is no run, it has no trained case, or an option does not fit it.
    """
    _check_options(k, weights, index, align, recall)
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{opened.path}: not trained to the end; go on with semtf-train --resume")
    models = load_models(opened, index, align, recall)
    return Estimator(models, models.blendings(k, weights))


def _check_options(
    k: int | None,
    weights: Weights | None,
    index: IndexChoice | None,
    align: Align | None,
    recall: float | None,
) -> None:
    """Raise InputError for the first option that no run has, before anything is read."""
    if k is not None and (not isinstance(k, (int, np.integer)) or k < 1):
        raise InputError(f"--k {k}: at least one neighbour is needed, as a whole number")
    if k is not None and k > MOST_NEIGHBOURS:
        raise InputError(f"--k {k}: no more than {MOST_NEIGHBOURS} neighbours can be searched for")
    if weights is not None:
        weight_function(weights)
    for name, value, kind in (("index", index, IndexChoice), ("align", align, Align)):
        known = get_args(kind)
        if value is not None and value not in known:
            raise InputError(f"--{name} {value}: is none of {', '.join(known)}")
    if recall is not None and not 0 < recall <= 1:
        raise InputError(f"--recall {recall}: must be above 0 and at most 1")
    if recall is not None and index == "exact":
        raise InputError("--recall: the exact index finds all; use --index scann")
