"""Weights of the neighbours, ``[q, k]`` summing to 1: pure functions of TensorFlow operations.

Similarities are cosines ``[q, k]``, best first; -inf marks a place without a neighbour, which
gets the weight 0. An image without any neighbour gets NaN, and so does its depth.
"""

import tensorflow as tf

DISTANCE_FLOOR = 1e-6
TINY = 1e-12


def nearest(similarity: tf.Tensor) -> tf.Tensor:
    """Everything on the most similar neighbour."""
    best = tf.one_hot(tf.argmax(similarity, axis=1), tf.shape(similarity)[1])
    return _summing_to_one(tf.where(_present(similarity), best, 0.0))


def uniform(similarity: tf.Tensor) -> tf.Tensor:
    """The same for every neighbour."""
    return _summing_to_one(tf.cast(_present(similarity), tf.float32))


def softmax(similarity: tf.Tensor, temperature: float | tf.Tensor) -> tf.Tensor:
    """``exp(similarity / temperature)``, normalised; a low temperature tends to `nearest`."""
    return tf.nn.softmax(similarity / temperature, axis=1)


def inverse_distance(similarity: tf.Tensor, power: float = 2.0) -> tf.Tensor:
    """``1 / distance**power`` with the distance of unit vectors (Shepard, 1968)."""
    distance = tf.maximum(distances(similarity), DISTANCE_FLOOR)
    return _summing_to_one(tf.where(_present(similarity), distance**-power, 0.0))


def gaussian_kernel(similarity: tf.Tensor) -> tf.Tensor:
    """``exp(-distance² / 2h²)``, the bandwidth h being the distance of the last neighbour.

    The Nadaraya-Watson estimator with the adaptive bandwidth of Cleveland (1979).
    """
    distance = distances(similarity)
    finite = tf.where(_present(similarity), distance, 0.0)
    bandwidth = tf.maximum(tf.reduce_max(finite, axis=1, keepdims=True), DISTANCE_FLOOR)
    return tf.nn.softmax(-0.5 * tf.square(distance / bandwidth), axis=1)


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
