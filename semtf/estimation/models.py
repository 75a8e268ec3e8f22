"""What an estimator is made of: classifier, retrievers, and what was fitted for each case."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from semtf.config import Weights
from semtf.estimation.averaging import Average
from semtf.estimation.intervals import Intervals
from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.maxima import Maxima
from semtf.retrieval.blending import Blending
from semtf.retrieval.retriever import Retriever


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
        maxima: of the fab images' brightest pixels, the usual range.
        intervals: by case, the calibrated intervals, where there are any.
        averages: by case, how the estimators are averaged, where there are several.
        errors: by case, how the errors of pixels go together, where that is known; no part of
            `estimate`.
        blend: whether the depth of an image in doubt blends two cases.
    """

    classifier: keras.Model
    cases: tuple[int, ...]
    temperature: float
    threshold: float
    retrievers: Mapping[int, Retriever]
    limits: Mapping[int, float]
    maxima: Maxima
    intervals: Mapping[int, Intervals] = field(default_factory=dict)
    averages: Mapping[int, Average] = field(default_factory=dict)
    errors: Mapping[int, ErrorPatterns] = field(default_factory=dict)
    blend: bool = True

    def blendings(
        self, k: int | None = None, weights: Weights | None = None
    ) -> dict[int, Blending]:
        """By case, how neighbours are blended.

        Args:
            k: neighbours an image; the number in the retriever's settings where None.
            weights: how they are weighted; as the retriever's settings say where None.

        Raises:
            InputError: there are no such weights.
        """
        return {
            case: Blending.of(retriever.config, k, weights)
            for case, retriever in self.retrievers.items()
        }

    @property
    def modules(self) -> list[tf.Module]:
        """What holds the variables of the graph, beside the classifier."""
        regressions = [average.regression for average in self.averages.values()]
        return [*self.retrievers.values(), *regressions]

    def calibrated(self, blendings: Mapping[int, Blending]) -> bool:
        """Whether every case has intervals for its blending."""
        return all(
            case in self.intervals and self.intervals[case].holds_for(blending)
            for case, blending in blendings.items()
        )
