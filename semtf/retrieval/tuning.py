"""Choose how neighbours are weighted without the depth of a single fab image.

The weights that come closest to the depths of queries made from held-out pairs are chosen
(`semtf.retrieval.held_out`).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from semtf.config import Weights
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import Blending, blend
from semtf.retrieval.held_out import HeldOutQueries, fit_of_neighbours
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.weighting import weight_function

SAMPLE = 128
"""Fab images whose residuals are taken, and pairs that queries are made of."""
RESIDUAL_FLOOR = 1e-3
"""Least mean square residual of a pixel, as a share of the mean over all pixels."""
# Among errors this close to the least the most cautious weights are chosen, those of the largest
# ridge: they follow least what made queries may lack.
TOLERANCE = 1.01
# By weights: numbers of neighbours, and values of the weights' parameter.
GRIDS: dict[Weights, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "softmax": ((1, 8, 32), (0.0003, 0.001, 0.003)),
    "reconstruction": ((64, 96), (0.3, 1.0, 3.0, 10.0)),
}


class WeightTrial(NamedTuple):
    """Weights that were tried, and their error.

    Attributes:
        weights: name of the weight function.
        neighbours: how many are blended.
        value: of the function's parameter: the temperature of the softmax, or the ridge of the
            reconstruction.
        rmse: over all pixels of the made queries, in grey levels.
    """

    weights: Weights
    neighbours: int
    value: float
    rmse: float


class Tuning(NamedTuple):
    """What tuning chose.

    Attributes:
        retriever: the given one with the chosen pixel weights and weights.
        trials: all that was tried: the chosen one first, the others by error.
    """

    retriever: Retriever
    trials: list[WeightTrial]


def tune(retriever: Retriever, images: np.ndarray, noise: NoiseModel, seed: int) -> Tuning:
    """Choose pixel weights and weights for a retriever from fab images.

    Args:
        retriever: of one case; it stays as it is.
        images: fab images of that case ``[n, H, W]``, without labels.
        noise: that of the fab.
        seed: picks images and pairs.

    Raises:
        InputError: there is no fab image or only one pair.
    """
    generator = np.random.default_rng(seed)
    sample = images[generator.permutation(len(images))[:SAMPLE]]
    residual = fit_of_neighbours(retriever, sample, None).residual
    retriever = retriever.with_pixel_weights(_pixel_weights(residual))
    pairs = generator.integers(0, len(retriever.storage), SAMPLE)
    trials = sorted(
        _trials(retriever, HeldOutQueries.make(retriever, noise, pairs, seed)),
        key=lambda trial: trial.rmse,
    )
    good = (trial for trial in trials if trial.rmse <= TOLERANCE * trials[0].rmse)
    chosen = min(good, key=lambda trial: (-trial.value, trial.rmse))
    others = [trial for trial in trials if trial is not chosen]
    return Tuning(_configured(retriever, chosen), [chosen, *others])


def _pixel_weights(residuals: np.ndarray) -> np.ndarray:
    """One over the mean square residual of each pixel, of mean 1, float32 ``[H·W]``."""
    power = np.mean(np.square(residuals), axis=0).ravel()
    weights = 1.0 / (power + RESIDUAL_FLOOR * power.mean())
    return (weights / weights.mean()).astype(np.float32)


def _trials(retriever: Retriever, queries: HeldOutQueries) -> list[WeightTrial]:
    most = min(retriever.config.pool, len(retriever.storage) - 1)
    batches = [(batch, batch.neighbours(retriever, most)) for batch in queries.batches()]
    trials = []
    for weights, (counts, values) in GRIDS.items():
        for k, value in itertools.product(sorted({min(k, most) for k in counts}), values):
            trial = WeightTrial(weights, k, value, np.nan)
            rmse = _rmse(_configured(retriever, trial), batches)
            trials.append(trial._replace(rmse=rmse))
    return trials


def _configured(retriever: Retriever, trial: WeightTrial) -> Retriever:
    """The retriever with the weights of a trial in its settings."""
    parameter = weight_function(trial.weights).parameter
    values = {} if parameter is None else {parameter: trial.value}
    return retriever.with_settings(weights=trial.weights, neighbours=trial.neighbours, **values)


def _rmse(retriever: Retriever, batches: Sequence[tuple[HeldOutQueries, Neighbours]]) -> float:
    """Error of the depth of held-out queries, with the weights of the retriever's settings."""
    blending = Blending.of(retriever.config)
    squares = []
    for queries, candidates in batches:
        depth = blend(retriever, tf.constant(queries.images), candidates, blending).depth
        error = depth - queries.true_depth(retriever)
        squares.append(tf.reduce_mean(tf.square(error), axis=[1, 2]).numpy())
    return float(np.sqrt(np.mean(np.concatenate(squares))))
