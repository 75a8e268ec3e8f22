"""The estimation as one graph of TensorFlow operations, for Python and for the exported model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import keras
import tensorflow as tf

from semtf.config import Weights
from semtf.data.pipelines import to_network
from semtf.estimation.uncertainty import spread
from semtf.retrieval.retriever import Neighbours, Retriever

# No AutoGraph: nothing in here is Python control flow on tensors.
as_written = tf.autograph.experimental.do_not_convert


class Estimate(NamedTuple):
    """What is estimated for ``q`` images; ``k`` neighbours, ``c`` cases.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        sigma: float32 ``[q, H, W]``, grey levels.
        case: int32 ``[q]``, 1 to 4.
        case_probability: float32 ``[q, c]``.
        similarity: float32 ``[q]``, cosine of the best neighbour.
        doubt: bool ``[q]``, the classifier is not sure: the depth blends two cases.
        untrained: bool ``[q]``, the most probable case has no storage.
        unlike: bool ``[q]``, the best neighbour is less similar than fab images normally have.
        pair: int32 ``[q, k]``, place in the storage of the case; −1 where there is no neighbour.
        shift: int32 ``[q, k, 2]``, pixels (rows, columns).
        weight: float32 ``[q, k]``.
        similarities: float32 ``[q, k]``, cosine of each neighbour; -inf where there is none.
    """

    depth: tf.Tensor
    sigma: tf.Tensor
    case: tf.Tensor
    case_probability: tf.Tensor
    similarity: tf.Tensor
    doubt: tf.Tensor
    untrained: tf.Tensor
    unlike: tf.Tensor
    pair: tf.Tensor
    shift: tf.Tensor
    weight: tf.Tensor
    similarities: tf.Tensor


@dataclass(frozen=True)
class Parts:
    """What the graph is made of.

    Attributes:
        classifier: from ``[q, H, W, 1]`` in [−1, 1] to logits ``[q, c]``.
        cases: the case of each logit.
        temperature: of the classifier's softmax.
        threshold: probability below which the classifier is in doubt.
        retrievers: by case; not all cases need one.
        limits: by case, the similarity below which an image is unlike the storage.
    """

    classifier: keras.Model
    cases: tuple[int, ...]
    temperature: float
    threshold: float
    retrievers: Mapping[int, Retriever]
    limits: Mapping[int, float]


@as_written
def classify(images: tf.Tensor, parts: Parts) -> tf.Tensor:
    """Calibrated probability of each case, float32 ``[q, c]``; images as in `estimate`."""
    logits = parts.classifier(to_network(images), training=False)
    return tf.nn.softmax(logits / parts.temperature)


@as_written
def estimate(
    images: tf.Tensor, probability: tf.Tensor, parts: Parts, k: int, weights: Weights
) -> Estimate:
    """Search the storage of the images' cases and blend what is found.

    Args:
        images: float32 ``[q, H, W]`` in grey levels 0–255.
        probability: float32 ``[q, c]``, of each case, from `classify`.
        parts: retrievers, cases and thresholds.
        k: neighbours an image.
        weights: how they are weighted.
    """
    share, doubt = _shares(probability, parts)
    best = tf.argmax(share, axis=1, output_type=tf.int32)
    stored = _stored(parts)
    result = Estimate(
        depth=tf.zeros_like(images),
        sigma=tf.zeros_like(images),
        case=tf.gather(tf.constant(parts.cases), best),
        case_probability=probability,
        similarity=tf.zeros_like(probability[:, 0]),
        doubt=doubt,
        untrained=tf.logical_not(tf.gather(stored, tf.argmax(probability, axis=1))),
        unlike=tf.zeros_like(doubt),
        pair=tf.fill([tf.shape(images)[0], k], -1),
        shift=tf.zeros([tf.shape(images)[0], k, 2], tf.int32),
        weight=tf.zeros([tf.shape(images)[0], k]),
        similarities=tf.fill([tf.shape(images)[0], k], float("-inf")),
    )
    for place, case in enumerate(parts.cases):
        if case in parts.retrievers:
            result = _add_case(result, images, share[:, place], best == place, case, parts, weights)
    return result


def _stored(parts: Parts) -> tf.Tensor:
    return tf.constant([case in parts.retrievers for case in parts.cases])


def _shares(probability: tf.Tensor, parts: Parts) -> tuple[tf.Tensor, tf.Tensor]:
    """How much each stored case counts ``[q, c]``, and which images are in doubt ``[q]``."""
    possible = tf.where(_stored(parts), probability, 0.0) + 1e-12 * tf.cast(
        _stored(parts), tf.float32
    )
    two = min(2, len(parts.retrievers))
    second = tf.math.top_k(possible, two).values[:, -1:]
    likely = tf.where(possible >= second, possible, 0.0)
    likely /= tf.reduce_sum(likely, axis=1, keepdims=True)
    doubt = tf.reduce_max(probability, axis=1) < parts.threshold
    sure = tf.one_hot(tf.argmax(possible, axis=1), len(parts.cases))
    return tf.where(doubt[:, None], likely, sure), doubt


def _add_case(
    result: Estimate,
    images: tf.Tensor,
    share: tf.Tensor,
    leads: tf.Tensor,
    case: int,
    parts: Parts,
    weights: Weights,
) -> Estimate:
    """Add what one case contributes to the images in which it has a share."""
    retriever = parts.retrievers[case]
    rows = tf.cast(tf.where(share > 0)[:, 0], tf.int32)
    some = tf.gather(images, rows)
    k = result.pair.shape[1]
    depth, neighbours, weight = retriever.depth(some, k, weights)
    sigma = spread(retriever, neighbours, weight, depth)
    part = tf.gather(share, rows)[:, None, None]
    depths = tf.tensor_scatter_nd_add(result.depth, rows[:, None], part * depth)
    sigmas = tf.tensor_scatter_nd_add(result.sigma, rows[:, None], part * sigma)
    lead = tf.gather(leads, rows)
    rows, neighbours = rows[lead], Neighbours(*(tensor[lead] for tensor in neighbours))
    weight = weight[lead]
    top = neighbours.similarity[:, 0]
    missing = k - neighbours.pair.shape[1]
    pad = [[0, 0], [0, missing]]
    found = {
        "similarity": top,
        "unlike": top < parts.limits[case],
        "pair": tf.pad(neighbours.pair, pad, constant_values=-1),
        "shift": tf.pad(neighbours.shift, [*pad, [0, 0]]),
        "weight": tf.pad(weight, pad),
        "similarities": tf.pad(neighbours.similarity, pad, constant_values=float("-inf")),
    }
    updates = {
        name: tf.tensor_scatter_nd_update(getattr(result, name), rows[:, None], value)
        for name, value in found.items()
    }
    return result._replace(depth=depths, sigma=sigmas, **updates)
