"""The estimation as one graph of TensorFlow operations, for Python and for the exported model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.config import Weights
from semtf.data.pipelines import to_network
from semtf.estimation.uncertainty import Intervals, depth_and_spread, num_to_search
from semtf.retrieval.retriever import Retriever


class Estimate(NamedTuple):
    """What is estimated for ``q`` images; ``k`` neighbours, ``c`` cases.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        sigma: float32 ``[q, H, W]``, grey levels: the half width of the calibrated 90 % interval
            over 1.645, or the bare spread where nothing is calibrated for these weights.
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
    low_confidence: tf.Tensor
    untrained: tf.Tensor
    unlike: tf.Tensor
    pair: tf.Tensor
    shift: tf.Tensor
    weight: tf.Tensor
    similarities: tf.Tensor


@dataclass(frozen=True)
class EstimatorModels:
    """What the graph is made of.

    Attributes:
        classifier: from ``[q, H, W, 1]`` in [−1, 1] to logits ``[q, c]``.
        cases: the case of each logit.
        temperature: of the classifier's softmax.
        threshold: probability below which the classifier is in doubt.
        retrievers: by case; not all cases need one.
        limits: by case, the similarity below which an image is unlike the storage.
        intervals: by case, the calibrated intervals, where there are any.
    """

    classifier: keras.Model
    cases: tuple[int, ...]
    temperature: float
    threshold: float
    retrievers: Mapping[int, Retriever]
    limits: Mapping[int, float]
    intervals: Mapping[int, Intervals] = field(default_factory=dict)

    def way(self, case: int, k: int | None, weights: Weights | None) -> tuple[int, Weights]:
        """Neighbours and weights of a case: those given, or the retriever's own where None."""
        config = self.retrievers[case].config
        return k or config.neighbours, weights or config.weights

    def calibrated(self, k: int | None, weights: Weights | None) -> bool:
        """Whether every case has intervals for these neighbours and weights."""
        return all(
            case in self.intervals and self.intervals[case].holds_for(*self.way(case, k, weights))
            for case in self.retrievers
        )


@no_autograph
def classify(images: tf.Tensor, parts: EstimatorModels) -> tf.Tensor:
    """Calibrated probability of each case, float32 ``[q, c]``; images as in `estimate`."""
    logits = parts.classifier(to_network(images), training=False)
    return tf.nn.softmax(logits / parts.temperature)


@no_autograph
def estimate(
    images: tf.Tensor,
    probability: tf.Tensor,
    parts: EstimatorModels,
    k: int | None = None,
    weights: Weights | None = None,
) -> Estimate:
    """Search the storage of the images' cases and blend what is found.

    Args:
        images: float32 ``[q, H, W]`` in grey levels 0–255.
        probability: float32 ``[q, c]``, of each case, from `classify`.
        parts: retrievers, cases and thresholds.
        k: neighbours an image; each case's own number where None.
        weights: how they are weighted; each case's own way where None.
    """
    ways = {case: parts.way(case, k, weights) for case in parts.retrievers}
    columns = max(count for count, _ in ways.values())
    share, low_confidence = _shares(probability, parts)
    best = tf.argmax(share, axis=1, output_type=tf.int32)
    stored = _stored(parts)
    result = Estimate(
        depth=tf.zeros_like(images),
        sigma=tf.zeros_like(images),
        case=tf.gather(tf.constant(parts.cases), best),
        case_probability=probability,
        similarity=tf.zeros_like(probability[:, 0]),
        low_confidence=low_confidence,
        untrained=tf.logical_not(tf.gather(stored, tf.argmax(probability, axis=1))),
        unlike=tf.zeros_like(low_confidence),
        pair=tf.fill([tf.shape(images)[0], columns], -1),
        shift=tf.zeros([tf.shape(images)[0], columns, 2], tf.int32),
        weight=tf.zeros([tf.shape(images)[0], columns]),
        similarities=tf.fill([tf.shape(images)[0], columns], float("-inf")),
    )
    for place, case in enumerate(parts.cases):
        if case in parts.retrievers:
            result = _add_case(result, images, share[:, place], best == place, case, parts, ways)
    return result


def _stored(parts: EstimatorModels) -> tf.Tensor:
    return tf.constant([case in parts.retrievers for case in parts.cases])


def _shares(probability: tf.Tensor, parts: EstimatorModels) -> tuple[tf.Tensor, tf.Tensor]:
    """How much each stored case counts ``[q, c]``, and which images are in doubt ``[q]``."""
    possible = tf.where(_stored(parts), probability, 0.0) + 1e-12 * tf.cast(
        _stored(parts), tf.float32
    )
    two = min(2, len(parts.retrievers))
    second = tf.math.top_k(possible, two).values[:, -1:]
    likely = tf.where(possible >= second, possible, 0.0)
    likely /= tf.reduce_sum(likely, axis=1, keepdims=True)
    low_confidence = tf.reduce_max(probability, axis=1) < parts.threshold
    sure = tf.one_hot(tf.argmax(possible, axis=1), len(parts.cases))
    return tf.where(low_confidence[:, None], likely, sure), low_confidence


def _add_case(
    result: Estimate,
    images: tf.Tensor,
    share: tf.Tensor,
    leads: tf.Tensor,
    case: int,
    parts: EstimatorModels,
    ways: Mapping[int, tuple[int, Weights]],
) -> Estimate:
    """Add what one case contributes to the images in which it has a share."""
    rows = tf.cast(tf.where(share > 0)[:, 0], tf.int32)
    part = _Case(parts.retrievers[case], parts.intervals.get(case), *ways[case])

    def added() -> Estimate:
        found = part.estimated(tf.gather(images, rows), result.pair.shape[1])
        scale = tf.gather(share, rows)[:, None, None]
        sums = {
            name: tf.tensor_scatter_nd_add(getattr(result, name), rows[:, None], scale * value)
            for name, value in (("depth", found.pop("depth")), ("sigma", found.pop("sigma")))
        }
        found["unlike"] = found["similarity"] < parts.limits[case]
        lead = tf.gather(leads, rows)
        updates = {
            name: tf.tensor_scatter_nd_update(
                getattr(result, name), rows[lead][:, None], value[lead]
            )
            for name, value in found.items()
        }
        return result._replace(**sums, **updates)

    # Most batches of few images have none of most cases.
    return tf.cond(tf.size(rows) > 0, added, lambda: result)


class _Case(NamedTuple):
    """How the images of one case are estimated."""

    retriever: Retriever
    intervals: Intervals | None
    k: int
    weights: Weights

    def estimated(self, images: tf.Tensor, columns: int) -> dict[str, tf.Tensor]:
        """Depth, sigma and evidence of images, the latter padded to some columns."""
        many = num_to_search(self.retriever, self.k, self.weights)
        found = self.retriever.search(images, many)
        depth, spread, shown, weight = depth_and_spread(
            self.retriever, images, found, self.k, self.weights
        )
        sigma = spread
        if self.intervals is not None and self.intervals.holds_for(self.k, self.weights):
            sigma = self.intervals.sigma(depth, spread)
        missing = columns - shown.pair.shape[1]
        pad = [[0, 0], [0, missing]]
        present = shown.similarity > float("-inf")
        return {
            "depth": depth,
            "sigma": sigma,
            "similarity": found.similarity[:, 0],
            "pair": tf.pad(tf.where(present, shown.pair, -1), pad, constant_values=-1),
            "shift": tf.pad(shown.shift, [*pad, [0, 0]]),
            "weight": tf.pad(weight, pad),
            "similarities": tf.pad(shown.similarity, pad, constant_values=float("-inf")),
        }
