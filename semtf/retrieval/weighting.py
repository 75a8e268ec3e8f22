"""Weights of the neighbours, ``[q, k]`` summing to 1: pure functions of TensorFlow operations.

Similarities are cosines ``[q, k]``, best first; -inf marks a missing neighbour, which gets the
weight 0. An image without any neighbour gets NaN, and so does its depth.

`WEIGHT_FUNCTIONS` is the table of them: what `register` has entered under a name can be chosen by
it wherever weights are chosen. The descriptions stand in `semtf.config.WEIGHTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from semtf.config import WEIGHTS, Weights
from semtf.errors import InputError

DISTANCE_FLOOR = 1e-6
TINY = 1e-12


@dataclass(frozen=True)
class WeightFunction:
    """An entry of the table of weight functions.

    Attributes:
        function: gives weights ``[q, k]``. It takes the similarities ``[q, k]``; with
            ``coordinates`` instead ``queries`` ``[q, d]``, ``keys`` ``[q, k, d]`` and the keyword
            ``present``, bool ``[q, k]``.
        parameter: the field of `semtf.config.RetrievalConfig` that it takes as a keyword, too.
        coordinates: whether it compares coordinates of images and keys in place of similarities,
            and chooses its neighbours from the pool ``retrieval.pool``.
        single: whether all the weight lies on one neighbour, which alone has no spread.
    """

    function: Callable[..., tf.Tensor]
    parameter: str | None = None
    coordinates: bool = False
    single: bool = False


WEIGHT_FUNCTIONS: dict[Weights, WeightFunction] = {}
"""By name, all weight functions."""


def register(
    name: Weights, description: str | None = None, **properties: Any
) -> Callable[[Callable[..., tf.Tensor]], Callable[..., tf.Tensor]]:
    """Decorator that enters a function into the table.

    Args:
        name: what users choose it by.
        description: a line for them; `semtf.config.WEIGHTS` has it where None.
        properties: other fields of `WeightFunction`.

    Raises:
        ValueError: the name is taken, or nothing describes it.
    """
    if name in WEIGHT_FUNCTIONS:
        raise ValueError(f"weight function {name}: is registered already; choose another name")
    if description is not None:
        WEIGHTS[name] = description
    if name not in WEIGHTS:
        raise ValueError(f"weight function {name}: give a description")

    def entered(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        WEIGHT_FUNCTIONS[name] = WeightFunction(function, **properties)
        return function

    return entered


def weight_function(name: Weights) -> WeightFunction:
    """The entry of a name; raises InputError where there is none."""
    if name not in WEIGHT_FUNCTIONS:
        raise InputError(
            f"--weights {name}: no such weights; choose one of {', '.join(WEIGHT_FUNCTIONS)}"
        )
    return WEIGHT_FUNCTIONS[name]


@register("nearest", single=True)
def nearest(similarity: tf.Tensor) -> tf.Tensor:
    """All the weight lies on the most similar neighbour."""
    best = tf.one_hot(tf.argmax(similarity, axis=1), tf.shape(similarity)[1])
    return _summing_to_one(tf.where(_present(similarity), best, 0.0))


@register("uniform")
def uniform(similarity: tf.Tensor) -> tf.Tensor:
    """Every neighbour has the same weight."""
    return _summing_to_one(tf.cast(_present(similarity), tf.float32))


@register("softmax", parameter="temperature")
def softmax(similarity: tf.Tensor, temperature: float | tf.Tensor) -> tf.Tensor:
    """``exp(similarity / temperature)``, normalised; a low temperature tends to `nearest`."""
    return tf.nn.softmax(similarity / temperature, axis=1)


@register("inverse")
def inverse_distance(similarity: tf.Tensor, power: float = 2.0) -> tf.Tensor:
    """``1 / distance**power`` with the distance of unit vectors (Shepard, 1968)."""
    distance = tf.maximum(distances(similarity), DISTANCE_FLOOR)
    return _summing_to_one(tf.where(_present(similarity), distance**-power, 0.0))


@register("kernel")
def gaussian_kernel(similarity: tf.Tensor) -> tf.Tensor:
    """``exp(-distance² / 2h²)``, the bandwidth h being the distance of the last neighbour.

    The Nadaraya-Watson estimator with the adaptive bandwidth of Cleveland (1979).
    """
    distance = distances(similarity)
    finite = tf.where(_present(similarity), distance, 0.0)
    bandwidth = tf.maximum(tf.reduce_max(finite, axis=1, keepdims=True), DISTANCE_FLOOR)
    return tf.nn.softmax(-0.5 * tf.square(distance / bandwidth), axis=1)


@register("reconstruction", parameter="ridge", coordinates=True)
def reconstruction(
    queries: tf.Tensor,
    keys: tf.Tensor,
    ridge: float | tf.Tensor,
    present: tf.Tensor | None = None,
) -> tf.Tensor:
    """Weights that rebuild each query from its keys: local linear reconstruction.

    Minimises ``|query - Σ w_i key_i|² + ridge · trace(C)/k · |w|²`` under ``Σ w_i = 1``, with
    ``C_ij = <query - key_i, query - key_j>`` (Roweis and Saul, Science 290, 2000; the ridge is
    that of Saul and Roweis, JMLR 4, 2003). Weights may be negative. The system that is solved
    has the smaller size of keys and coordinates (the matrix inversion lemma).

    Args:
        queries: float32 ``[q, d]``.
        keys: float32 ``[q, k, d]``, aligned with the query.
        ridge: relative to the mean of the diagonal of C.
        present: bool ``[q, k]``, False where there is no neighbour; all True where None.

    Returns:
        float32 ``[q, k]``.
    """
    difference = queries[:, None, :] - keys
    ones = tf.ones_like(keys[..., :1])
    if present is not None:
        difference = tf.where(present[..., None], difference, 0.0)
        ones = tf.cast(present[..., None], tf.float32)
    k, dimensions = keys.shape[1:]
    trace = tf.reduce_sum(tf.square(difference), axis=[1, 2])
    penalty = ((ridge / k) * trace + TINY)[:, None, None]
    if k <= dimensions:
        gram = tf.matmul(difference, difference, transpose_b=True)
        weights = _solved(gram + penalty * tf.eye(k), ones)
    else:
        moment = tf.matmul(difference, difference, transpose_a=True) + penalty * tf.eye(dimensions)
        total = tf.matmul(difference, ones, transpose_a=True)
        weights = ones - tf.matmul(difference, _solved(moment, total))
    return _summing_to_one(weights[..., 0])


def _solved(matrix: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), right)


def distances(similarity: tf.Tensor) -> tf.Tensor:
    """Euclidean distance of unit vectors of that cosine: ``sqrt(2 - 2·cosine)``."""
    return tf.sqrt(tf.maximum(2.0 - 2.0 * similarity, 0.0))


def _present(similarity: tf.Tensor) -> tf.Tensor:
    return similarity > float("-inf")


def _summing_to_one(weights: tf.Tensor) -> tf.Tensor:
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
