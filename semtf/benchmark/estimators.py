"""Depth from keys, by the second half of a method's name: retrieval and regression."""

from typing import Any

import numpy as np
import tensorflow as tf

from semtf.benchmark.encoder_decoder import encoder_decoder
from semtf.benchmark.estimates import Estimates, Estimator, Images, in_batches
from semtf.benchmark.keys import built, keys_of, prepared, retriever_of
from semtf.benchmark.registry import Method
from semtf.benchmark.world import CaseWorld, MissingPartError
from semtf.config import RetrievalConfig, Weights
from semtf.estimation.graph import CaseEstimator
from semtf.estimation.preparation import Prepared
from semtf.evaluation.depth_differs import values_of_the_fab
from semtf.retrieval.blending import Blending
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.shifts import shifted, shifts

QUIRKS: dict[str, dict[str, Any]] = {
    "nearest-wrapped": {"edges": "wrap"},
    "nearest-unmoved": {"move_depth": False},
    "nearest-winner": {"edges": "wrap", "move_depth": False},
}

NEAREST: Weights = "nearest"


def fit(case: CaseWorld, method: Method) -> Estimator:
    """The estimator of a method for one case.

    Raises:
        MissingPartError: the data set or the run has not what it needs.
    """
    if method.keys is None:
        return {"mean-map": _mean_map, "nearest-true-map": _nearest_true_map}[method.estimator](
            case
        )
    name = method.estimator
    if name.startswith("unet-"):
        return encoder_decoder(case, method.keys, name)
    if name in QUIRKS:
        return _quirk(case, method.keys, QUIRKS[name])
    if name == NEAREST:  # what tuning chooses does not move the most similar pair
        return _blended(retriever_of(case, method.keys), Blending(1, NEAREST))
    found = prepared(case, method.keys)
    if name in ("tuned", "retrieval", "regression", "depth-differs"):
        return _tuned(case, name, found)
    if name.endswith("-centre"):
        retriever = found.retriever.with_alignment("centre", case.config.seed)
        return _blended(retriever, _blending(name.removesuffix("-centre"), retriever.config))
    return _blended(found.retriever, _blending(name, found.retriever.config))


def _blending(name: str, config: RetrievalConfig) -> Blending:
    weights, _, count = name.rpartition("-")
    return Blending.of(config, int(count), weights) if weights else Blending.of(config, 1, name)


def _quirk(case: CaseWorld, keys: str, fields: dict[str, Any]) -> Estimator:
    """The nearest pair as the winning code found and moved it."""
    retriever = built(keys_of(case, keys), case.simulator, case.config, **fields)
    return _blended(retriever, Blending(1, NEAREST))


def _tuned(case: CaseWorld, name: str, found: Prepared) -> Estimator:
    if not case.config.retrieval.tune:
        raise MissingPartError("the settings leave retrieval.tune out")
    retriever, average, intervals = found.retriever, found.average, found.intervals
    if name == "depth-differs":
        values = values_of_the_fab(retriever.storage, case.world.dataset)
        if values is None:
            raise MissingPartError("the sites have no average depths")
        return _blended(retriever.with_values(values), Blending.of(retriever.config))
    if name == "tuned":
        blending = Blending.of(retriever.config)
        return _estimated(CaseEstimator(retriever, intervals, average, -np.inf, blending))
    if name == "retrieval":
        return _blended(retriever, Blending.of(retriever.config))
    if average is None:
        raise MissingPartError("one pair alone has no regression")
    regression = average.regression
    return lambda images, _: Estimates(in_batches(regression, images))


def _blended(retriever: Retriever, blending: Blending) -> Estimator:
    """Depth without the regression and without calibrated σ."""
    return _estimated(CaseEstimator(retriever, None, None, -np.inf, blending))


def _estimated(estimator: CaseEstimator) -> Estimator:
    spec = tf.TensorSpec([None, *estimator.retriever.shape], tf.float32)
    columns = estimator.blending.k

    def of_batch(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = estimator.estimated(images, columns)
        return found["depth"], found["sigma"]

    graph = tf.function(of_batch, input_signature=[spec], autograph=False)
    known = estimator.intervals is not None and estimator.intervals.holds_for(estimator.blending)

    def estimate(images: Images, _: Images) -> Estimates:
        both = in_batches(lambda batch: tf.stack(graph(batch), axis=1), images)
        return Estimates(both[:, 0], both[:, 1] if known else None)

    return estimate


def _mean_map(case: CaseWorld) -> Estimator:
    mean = case.simulator.depth.mean(axis=0, dtype=np.float64).astype(np.float32)
    return lambda images, _: Estimates(np.repeat(mean[None], len(images), axis=0))


def _nearest_true_map(case: CaseWorld) -> Estimator:
    """Of all stored maps in all shifts the one that is next to the truth."""
    moves = shifts(case.config.retrieval.shift)
    depth = np.asarray(case.simulator.depth, np.float32)

    def estimate(images: Images, truth: Images) -> Estimates:
        flat = np.asarray(truth, np.float32).reshape(len(truth), -1)
        nearest = np.full(len(truth), np.inf, np.float32)
        found = np.empty(truth.shape, np.float32)
        for move in moves:
            maps = shifted(tf.constant(depth), tuple(move)).numpy()
            pixels = maps.reshape(len(maps), -1)
            # What the truth's own square adds is the same for all maps.
            distance = np.square(pixels).sum(axis=1)[:, None] - 2 * pixels @ flat.T
            best, least = distance.argmin(axis=0), distance.min(axis=0)
            closer = least < nearest
            found[closer], nearest[closer] = maps[best[closer]], least[closer]
        return Estimates(found)

    return estimate
