"""Choose how neighbours are weighted without the depth of a single fab image.

A query of known depth is made from a pair that is held out and from a fab image: the pair's key
plus what the nearest keys could not rebuild of the fab image, its noise and all that adaptation
left undone. The weights that come closest to the depths of such queries are chosen.
"""

import dataclasses
import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.config import Weights
from semtf.errors import InputError
from semtf.retrieval.embedding import normalise
from semtf.retrieval.retriever import Neighbours, Retriever

SAMPLE = 128
BATCH = 64
RESIDUAL_NEIGHBOURS = 128
RESIDUAL_FLOOR = 1e-3
GRIDS: dict[Weights, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "softmax": ((1, 8, 32), (0.0003, 0.001, 0.003)),
    "reconstruction": ((32, 128, 256), (0.1, 0.3, 1.0)),
}


class Trial(NamedTuple):
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


def tune(retriever: Retriever, images: np.ndarray, seed: int, at_most: int = 256) -> list[Trial]:
    """Set the pixel weights, and the weights in the config of a retriever, from fab images.

    Args:
        retriever: of one case; its pixel weights and its ``config`` are set.
        images: fab images of that case ``[n, H, W]``, without labels.
        seed: picks images and pairs.
        at_most: most neighbours to try; time grows with them.

    Returns:
        All that was tried, best first.

    Raises:
        InputError: there is no fab image or only one pair.
    """
    if len(images) == 0 or len(retriever.storage) < 2:
        raise InputError(
            f"tuning of case {retriever.storage.case}: needs a fab image and two pairs; add them"
        )
    generator = np.random.default_rng(seed)
    residuals = _residuals(retriever, images[generator.permutation(len(images))[:SAMPLE]])
    power = np.mean(np.square(residuals), axis=0).ravel()
    weights = 1.0 / (power + RESIDUAL_FLOOR * power.mean())
    retriever.pixel_weights.assign(weights / weights.mean())
    held_out = generator.integers(0, len(retriever.storage), len(residuals))
    keys = normalise(tf.constant(retriever.storage.keys[held_out])).numpy()
    queries = tf.constant(keys + residuals)
    trials = sorted(_trials(retriever, queries, held_out, at_most), key=lambda trial: trial.rmse)
    _configure(retriever, trials[0])
    return trials


def _trials(
    retriever: Retriever, queries: tf.Tensor, held_out: np.ndarray, at_most: int
) -> list[Trial]:
    most = min(at_most, len(retriever.storage) - 1)
    parts = [slice(start, start + BATCH) for start in range(0, len(held_out), BATCH)]
    found = [_without(retriever, queries[part], held_out[part], most) for part in parts]
    truth = retriever.storage.values[held_out].astype(np.float32)
    trials = []
    for weights, (counts, values) in GRIDS.items():
        for k, value in itertools.product(sorted({min(k, most) for k in counts}), values):
            trial = Trial(weights, k, value, np.nan)
            _configure(retriever, trial)
            squares = [
                _square_error(retriever, queries[part], some, k, weights, truth[part])
                for part, some in zip(parts, found, strict=True)
            ]
            trials.append(trial._replace(rmse=float(np.sqrt(np.mean(np.concatenate(squares))))))
    return trials


def _configure(retriever: Retriever, trial: Trial) -> None:
    chosen: dict[str, Any] = {"weights": trial.weights, "neighbours": trial.neighbours}
    chosen["temperature" if trial.weights == "softmax" else "ridge"] = trial.value
    retriever.config = dataclasses.replace(retriever.config, **chosen)


def _without(retriever: Retriever, queries: tf.Tensor, own: np.ndarray, k: int) -> Neighbours:
    """The ``k`` most similar pairs of each query other than its own."""
    found = retriever.search(queries, k + 1)
    other = tf.cast(found.pair != own[:, None], tf.float32)
    # Those that stay keep their order: top_k takes the first of equals.
    place = tf.math.top_k(other, k).indices
    return Neighbours(*(tf.gather(part, place, batch_dims=1) for part in found))


def _square_error(
    retriever: Retriever,
    queries: tf.Tensor,
    found: Neighbours,
    k: int,
    weights: Weights,
    truth: np.ndarray,
) -> np.ndarray:
    """Mean square error of each query, in square grey levels ``[q]``."""
    nearest = Neighbours(*(part[:, :k] for part in found))
    depth = retriever.blend(nearest, retriever.weights(queries, nearest, weights))
    error: np.ndarray = tf.reduce_mean(tf.square(depth - truth), axis=[1, 2]).numpy()
    return error


def _residuals(retriever: Retriever, images: np.ndarray) -> np.ndarray:
    k = min(RESIDUAL_NEIGHBOURS, len(retriever.storage))
    parts = []
    for start in range(0, len(images), BATCH):
        some = tf.cast(images[start : start + BATCH], tf.float32)
        found = retriever.search(some, k)
        weights = retriever.weights(some, found, "reconstruction")
        parts.append(retriever.residual(some, found, weights).numpy())
    return np.concatenate(parts)
