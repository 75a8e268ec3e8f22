"""Choose how neighbours are weighted without the depth of a single fab image.

The weights that come closest to the depths of queries made from held-out pairs are chosen
(`semtf.retrieval.held_out`).
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.config import Weights
from semtf.retrieval.held_out import HeldOut, residuals
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever

SAMPLE = 128
RESIDUAL_FLOOR = 1e-3
# Made queries lie nearer to the keys than fab images do, so among errors this close to the least
# the most cautious weights are chosen: those of the largest ridge.
TOLERANCE = 1.04
GRIDS: dict[Weights, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "softmax": ((1, 8, 32), (0.0003, 0.001, 0.003)),
    "reconstruction": ((32, 64, 96), (0.1, 0.3, 1.0)),
}


class WeightTrial(NamedTuple):
    """A way to weight neighbours and its error.

    Attributes:
        weights: ``"softmax"`` or ``"reconstruction"``.
        neighbours: how many.
        value: the temperature of the softmax, or the ridge of the reconstruction.
        rmse: over all pixels of the made queries, in grey levels.
    """

    weights: Weights
    neighbours: int
    value: float
    rmse: float


def tune(retriever: Retriever, images: np.ndarray, seed: int) -> list[WeightTrial]:
    """Set the pixel weights, and the weights in the config of a retriever, from fab images.

    Args:
        retriever: of one case; its pixel weights and its ``config`` are set.
        images: fab images of that case ``[n, H, W]``, without labels.
        seed: picks images and pairs.

    Returns:
        All that was tried: the chosen one first, the others by error.

    Raises:
        InputError: there is no fab image or only one pair.
    """
    generator, start = np.random.default_rng(seed), retriever.config
    left = residuals(retriever, images[generator.permutation(len(images))[:SAMPLE]])
    power = np.mean(np.square(left), axis=0).ravel()
    weights = 1.0 / (power + RESIDUAL_FLOOR * power.mean())
    retriever.coordinates.weigh((weights / weights.mean()).astype(np.float32))
    own = generator.integers(0, len(retriever.storage), SAMPLE)
    trials = sorted(
        _trials(retriever, HeldOut.made(retriever, left, own)),
        key=lambda trial: trial.rmse,
    )
    good = (trial for trial in trials if trial.rmse <= TOLERANCE * trials[0].rmse)
    chosen = min(good, key=lambda trial: (-trial.value, trial.rmse))
    retriever.config = start
    _configure(retriever, chosen)
    return [chosen, *(trial for trial in trials if trial is not chosen)]


def _trials(retriever: Retriever, queries: HeldOut) -> list[WeightTrial]:
    most = min(retriever.config.pool, len(retriever.storage) - 1)
    batches = [(batch, batch.neighbours(retriever, most)) for batch in queries.batches()]
    trials = []
    for weights, (counts, values) in GRIDS.items():
        for k, value in itertools.product(sorted({min(k, most) for k in counts}), values):
            trial = WeightTrial(weights, k, value, np.nan)
            _configure(retriever, trial)
            squares = [_square_error(retriever, *batch, trial) for batch in batches]
            trials.append(trial._replace(rmse=float(np.sqrt(np.mean(np.concatenate(squares))))))
    return trials


def _configure(retriever: Retriever, trial: WeightTrial) -> None:
    chosen: dict[str, Any] = {"weights": trial.weights, "neighbours": trial.neighbours}
    chosen["temperature" if trial.weights == "softmax" else "ridge"] = trial.value
    retriever.config = dataclasses.replace(retriever.config, **chosen)


def _square_error(
    retriever: Retriever, queries: HeldOut, found: Neighbours, trial: WeightTrial
) -> np.ndarray:
    """Mean square error of each query, in square grey levels ``[q]``."""
    truth = retriever.storage.values[queries.own].astype(np.float32)
    images = tf.constant(queries.images)
    kept, weight = retriever.weighted(images, found, trial.neighbours, trial.weights)
    error = retriever.pixels.blend(kept, weight) - truth
    square: np.ndarray = tf.reduce_mean(tf.square(error), axis=[1, 2]).numpy()
    return square
