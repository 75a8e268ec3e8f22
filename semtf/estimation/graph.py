"""The estimation as one graph of TensorFlow operations, for Python and for the exported model."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.data.pipelines import to_network
from semtf.estimation.averaging import Average, Combined
from semtf.estimation.intervals import Intervals
from semtf.estimation.models import EstimatorModels
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.retrieval.blending import Blending
from semtf.retrieval.retriever import Retriever


class Estimate(NamedTuple):
    """What is estimated for ``q`` images; ``k`` neighbours, ``c`` cases.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        sigma: float32 ``[q, H, W]``, grey levels: the half width of the calibrated 90 % interval
            over 1.645, or the bare spread where nothing is calibrated for these weights; of two
            cases the root of the total variance.
        case: int32 ``[q]``, the number of the case.
        case_probability: float32 ``[q, c]``.
        similarity: float32 ``[q]``, cosine of the best neighbour.
        low_confidence: bool ``[q]``, the classifier is in doubt: the depth blends two cases.
        untrained: bool ``[q]``, the most probable case has no retriever.
        unlike: bool ``[q]``, the best neighbour is less similar than fab images normally have.
        off_scale: bool ``[q]``, its brightest pixel is darker or brighter than fab images have it.
        pair: int32 ``[q, k]``, index in the storage of the case; −1 where there is no neighbour.
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
    off_scale: tf.Tensor
    pair: tf.Tensor
    shift: tf.Tensor
    weight: tf.Tensor
    similarities: tf.Tensor


@no_autograph
def classify(images: tf.Tensor, models: EstimatorModels) -> tf.Tensor:
    """Calibrated probability of each case, float32 ``[q, c]``; images as in `estimate`."""
    logits = models.classifier(to_network(at_least_two(images)), training=False)
    return tf.nn.softmax(logits[: tf.shape(images)[0]] / models.temperature)


def at_least_two(rows: tf.Tensor) -> tf.Tensor:
    """The rows of a tensor, a single one twice.

    Sums over a single row are taken in another order than those of several rows, and what differs
    in the last digit may be another neighbour: an image would depend on those beside it.
    """
    return tf.repeat(rows, tf.where(tf.equal(tf.shape(rows)[0], 1), 2, 1), axis=0)


@no_autograph
def estimate(
    images: tf.Tensor,
    probability: tf.Tensor,
    models: EstimatorModels,
    blendings: Mapping[int, Blending] | None = None,
) -> Estimate:
    """Search the storages of the images' cases and blend the neighbours.

    Args:
        images: float32 ``[q, H, W]`` in grey levels 0–255.
        probability: float32 ``[q, c]``, of each case, from `classify`.
        models: retrievers, cases and thresholds.
        blendings: by case, how neighbours are blended; as the retrievers' settings say where None.
    """
    if blendings is None:
        blendings = models.blendings()
    columns = max(blending.k for blending in blendings.values())
    share, low_confidence = case_shares(probability, models)
    best = tf.argmax(share, axis=1, output_type=tf.int32)
    trained = _has_retriever(models)
    peak = tf.reduce_max(images, axis=[1, 2])
    result = Estimate(
        depth=tf.zeros_like(images),
        sigma=tf.zeros_like(images),
        case=tf.gather(tf.constant(models.cases), best),
        case_probability=probability,
        similarity=tf.zeros_like(probability[:, 0]),
        low_confidence=low_confidence,
        untrained=tf.logical_not(tf.gather(trained, tf.argmax(probability, axis=1))),
        unlike=tf.zeros_like(low_confidence),
        off_scale=(peak < models.maxima.low) | (peak > models.maxima.high),
        pair=tf.fill([tf.shape(images)[0], columns], -1),
        shift=tf.zeros([tf.shape(images)[0], columns, 2], tf.int32),
        weight=tf.zeros([tf.shape(images)[0], columns]),
        similarities=tf.fill([tf.shape(images)[0], columns], float("-inf")),
    )
    total = tf.zeros_like(probability[:, 0])
    for i, case in enumerate(models.cases):
        if case in models.retrievers:
            estimator = CaseEstimator(
                models.retrievers[case],
                models.intervals.get(case),
                models.averages.get(case),
                models.limits[case],
                blendings[case],
            )
            result, total = estimator.added(result, total, images, share[:, i], best == i)
    return result._replace(sigma=tf.sqrt(result.sigma))


def _has_retriever(models: EstimatorModels) -> tf.Tensor:
    """Which cases have a retriever, bool ``[c]``."""
    return tf.constant([case in models.retrievers for case in models.cases])


def case_shares(probability: tf.Tensor, models: EstimatorModels) -> tuple[tf.Tensor, tf.Tensor]:
    """How much the depth of each case counts ``[q, c]``, and which images are in doubt ``[q]``."""
    trained = _has_retriever(models)
    possible = tf.where(trained, probability, 0.0) + 1e-12 * tf.cast(trained, tf.float32)
    two = min(2, len(models.retrievers))
    second = tf.math.top_k(possible, two).values[:, -1:]
    likely = tf.where(possible >= second, possible, 0.0)
    likely /= tf.reduce_sum(likely, axis=1, keepdims=True)
    low_confidence = tf.reduce_max(probability, axis=1) < models.threshold
    sure = tf.one_hot(tf.argmax(possible, axis=1), len(models.cases))
    blended = low_confidence & models.blend
    return tf.where(blended[:, None], likely, sure), low_confidence


class CaseEstimator(NamedTuple):
    """How the images of one case are estimated."""

    retriever: Retriever
    intervals: Intervals | None
    average: Average | None
    limit: float
    blending: Blending

    def added(
        self,
        result: Estimate,
        total: tf.Tensor,
        images: tf.Tensor,
        share: tf.Tensor,
        leads: tf.Tensor,
    ) -> tuple[Estimate, tf.Tensor]:
        """The result with what this case contributes, and the sum of shares ``[q]``.

        Args:
            result: of all images, with what the cases before contribute; its sigma is a variance.
            total: ``[q]``, the sum of their shares.
            images: ``[q, H, W]``, of all cases.
            share: ``[q]``, how much this case counts for each image.
            leads: bool ``[q]``, whether this case counts most, so that the evidence is its.
        """
        indices = at_least_two(tf.cast(tf.where(share > 0)[:, 0], tf.int32))

        def with_this_case() -> Estimate:
            estimated = self.estimated(tf.gather(images, indices), result.pair.shape[1])
            moments = _joined_moments(
                tf.gather(total, indices),
                tf.gather(result.depth, indices),
                tf.gather(result.sigma, indices),
                tf.gather(share, indices),
                estimated.pop("depth"),
                tf.square(estimated.pop("sigma")),
            )
            joined = {
                name: tf.tensor_scatter_nd_update(getattr(result, name), indices[:, None], value)
                for name, value in zip(("depth", "sigma"), moments, strict=True)
            }
            lead = tf.gather(leads, indices)
            evidence = {
                name: tf.tensor_scatter_nd_update(
                    getattr(result, name), indices[lead][:, None], value[lead]
                )
                for name, value in estimated.items()
            }
            return result._replace(**joined, **evidence)

        # A small batch has images of one or two cases only; the other cases need no search.
        result = tf.cond(tf.size(indices) > 0, with_this_case, lambda: result)
        return result, total + share

    def estimated(self, images: tf.Tensor, columns: int) -> dict[str, tf.Tensor]:
        """Depth, sigma and evidence of images of this case, by field of `Estimate`.

        The neighbours are padded to ``columns`` columns.
        """
        candidates = self.retriever.search(images, num_to_search(self.retriever, self.blending))
        depth, spread, neighbours, weights = depth_and_spread(
            self.retriever, images, candidates, self.blending
        )
        similarity = candidates.similarity[:, 0]
        combined = Combined(depth, spread, tf.zeros_like(depth))
        if self.average is not None and self.average.holds_for(self.blending):
            combined = self.average.combined(images, depth, spread)
        sigma = spread
        if self.intervals is not None and self.intervals.holds_for(self.blending):
            sigma = self.intervals.sigma(combined, similarity)
        pad = [[0, 0], [0, columns - neighbours.pair.shape[1]]]
        present = neighbours.similarity > float("-inf")
        return {
            "depth": combined.depth,
            "sigma": sigma,
            "similarity": similarity,
            "unlike": similarity < self.limit,
            "pair": tf.pad(tf.where(present, neighbours.pair, -1), pad, constant_values=-1),
            "shift": tf.pad(neighbours.shift, [*pad, [0, 0]]),
            "weight": tf.pad(weights, pad),
            "similarities": tf.pad(neighbours.similarity, pad, constant_values=float("-inf")),
        }


def _joined_moments(
    total: tf.Tensor,
    depth: tf.Tensor,
    variance: tf.Tensor,
    share: tf.Tensor,
    other_depth: tf.Tensor,
    other_variance: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of a mixture, one more part added: the law of total variance.

    What a part adds is relative to the mean before it (Chan, Golub and LeVeque, 1979), so that an
    image of one case has exactly that case's depth and variance.
    """
    part = (share / (total + share))[:, None, None]
    difference = other_depth - depth
    mean = tf.where(part < 1.0, depth + part * difference, other_depth)
    between = part * (1.0 - part) * tf.square(difference)
    return mean, (1.0 - part) * variance + part * other_variance + between
