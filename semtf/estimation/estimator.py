"""Depth maps from SEM images with a trained run."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.classification.classifier import Classifier
from semtf.classification.voting import site_vote
from semtf.config import Align, IndexKind, Weights
from semtf.errors import InputError
from semtf.estimation.graph import Estimate, Parts, classify, estimate
from semtf.estimation.result import FLAGS, DepthResult, Neighbour
from semtf.progress import progress
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run

LIMIT = "similarity.json"
BATCH = 256


class Estimator:
    """SEM images to depth maps: classify, search, blend. Made by `load`."""

    def __init__(self, parts: Parts, k: int, weights: Weights) -> None:
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
        parts = [
            self._classify(tf.constant(images[start : start + batch], tf.float32)).numpy()
            for start in range(0, len(images), batch)
        ]
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
            for start in range(0, len(given), batch):
                part = tf.constant(given[start : start + batch], tf.float32)
                results.append(self._estimate(part, tf.constant(odds[start : start + batch])))
                advance(len(part), "")
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
            neighbours=[self._neighbours(found, i) for i in range(len(found.depth))],
            flags=flags,
        )

    def _neighbours(self, found: Estimate, i: int) -> list[Neighbour]:
        names = self.parts.retrievers[int(found.case[i])].storage.names
        columns = zip(found.pair[i], found.shift[i], found.weight[i], strict=True)
        return [
            Neighbour(str(names[pair]), (int(shift[0]), int(shift[1])), float(weight))
            for pair, shift, weight in columns
            if pair >= 0
        ]


def load(
    run: Path | str,
    *,
    k: int | None = None,
    weights: Weights | None = None,
    index: IndexKind | None = None,
    align: Align | None = None,
) -> Estimator:
    """The estimator of a run.

    Args:
        run: the run's folder.
        k: neighbours an image; the run's own number where None.
        weights: how they are weighted; the run's own choice where None.
        index: the kind of search; the run's own where None.
        align: how keys and images are aligned; the run's own way where None. For another way
            the indexes are built anew, in memory.

    Raises:
        InputError: there is no run, or it has no trained case.
    """
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{run}: not trained to the end; go on with semtf-train --resume")
    if k is not None and k < 1:
        raise InputError(f"--k {k}: at least one neighbour is needed")
    config = opened.config.retrieval
    parts = load_parts(opened, index, align)
    return Estimator(parts, k or config.neighbours, weights or config.weights)


def load_parts(run: Run, index: IndexKind | None = None, align: Align | None = None) -> Parts:
    """The classifier and retrievers of a run; arguments as in `load`."""
    classifier = Classifier.load(run.classifier)
    folders = {case: run.storage(case) for case in run.cases}
    return Parts(
        classifier=classifier.model,
        cases=classifier.cases,
        temperature=classifier.temperature,
        threshold=classifier.threshold,
        retrievers={
            case: _retriever(run, folder, index, align) for case, folder in folders.items()
        },
        limits={case: read_limit(folder) for case, folder in folders.items()},
    )


def _retriever(run: Run, folder: Path, index: IndexKind | None, align: Align | None) -> Retriever:
    storage, config = Storage.open(folder), run.config.retrieval
    if align is None or align == config.align:
        return Retriever.load(folder, storage, index)
    changed = dataclasses.replace(config, align=align, index=index or config.index)
    return Retriever.build(storage, changed, run.config.seed)


def write_limit(retriever: Retriever, images: npt.NDArray[np.uint8], folder: Path) -> None:
    """Note how similar the fab's own images are to the storage, for the flag of unlike ones.

    The limit is the 0.5 % quantile of the images' top similarity, less half the distance from
    there to the median, so that it flags what the fab does not normally show.
    """
    starts = range(0, len(images), BATCH)
    top = [retriever.search(images[s : s + BATCH], 1).similarity[:, 0] for s in starts]
    low, middle = np.quantile(np.concatenate(top), [0.005, 0.5])
    limit = {"limit": float(low - 0.5 * (middle - low)), "median": float(middle)}
    (folder / LIMIT).write_text(json.dumps(limit, indent=2) + "\n", encoding="utf-8")


def read_limit(folder: Path) -> float:
    """The similarity below which an image is unlike the storage."""
    try:
        return float(json.loads((folder / LIMIT).read_text(encoding="utf-8"))["limit"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder / LIMIT}: cannot be read ({error}); train again") from error
