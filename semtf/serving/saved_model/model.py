"""The graph that the signatures of an export call: estimates, adapted images and stored pairs."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from semtf.adaptation.base import Adapter
from semtf.autograph import no_autograph
from semtf.estimation.graph import Estimate, classify, estimate
from semtf.estimation.models import EstimatorModels
from semtf.estimation.propagation import ErrorModel
from semtf.estimation.result import FLAGS
from semtf.serving.saved_model.graph_assertions import check_batch, require
from semtf.serving.saved_model.graph_png import encode
from semtf.serving.saved_model.stored_pairs import stored_pair_pngs

Outputs = dict[str, tf.Tensor]
SUM_TOLERANCE = 1e-3


class Model(tf.Module):
    """Everything that the signatures compute, traced once and called by each of them.

    The public methods are the functions of `semtf.serving.saved_model.signatures`; they take
    images ``[n, H, W]`` in grey levels that were checked, and give outputs by name.

    Args:
        models: classifier and retrievers of a run.
        adapters: by case, simulator images ``[n, H, W]`` in grey levels to fab-like ones.
    """

    def __init__(self, models: EstimatorModels, adapters: Mapping[int, Adapter]) -> None:
        super().__init__(name="semtf")
        self.cases = models.cases
        self.height, self.width = next(iter(models.retrievers.values())).shape
        self._adapters = dict(adapters)
        self._errors = ErrorModel(models.errors, (self.height, self.width))
        with tf.device("CPU"):
            self._names = {
                str(case): tf.Variable(retriever.storage.names, trainable=False, name="names")
                for case, retriever in models.retrievers.items()
            }
        images = tf.TensorSpec([None, self.height, self.width], tf.float32)
        probabilities = tf.TensorSpec([None, len(self.cases)], tf.float32)
        indices = tf.TensorSpec([None], tf.int32)
        self._probabilities = _function(lambda images: classify(images, models), images)
        self._estimate = _function(
            lambda images, probabilities: estimate(images, probabilities, models),
            images,
            probabilities,
        )
        self._measurements = _function(self._errors.measurements, images, images, indices)
        self._adapted = _function(self._adapted_by_case, images, indices)
        self._stored_pair_pngs = _function(
            lambda case, pair, shift: stored_pair_pngs(models.retrievers, case, pair, shift),
            indices,
            indices,
            tf.TensorSpec([None, 2], tf.int32),
        )

    def predict(self, images: tf.Tensor) -> Outputs:
        """Depth, sigma, case and what is doubtful."""
        return self._prediction(self._estimated(images))

    def predict_png(self, images: tf.Tensor) -> Outputs:
        """The depth map, rounded, as a PNG file."""
        return {"depth_png_bytes": encode(self._estimated(images).depth)}

    def measure(self, images: tf.Tensor) -> Outputs:
        """What is measured of the depth, with its standard uncertainty."""
        result = self._estimated(images)
        outputs: Outputs = self._measurements(result.depth, result.sigma, result.case)
        return {"case": result.case, **outputs}

    def neighbours(self, images: tf.Tensor) -> Outputs:
        """The stored pairs that the depth is made of."""
        return self._neighbours(self._estimated(images))

    def estimate(self, images: tf.Tensor, probabilities: tf.Tensor | None = None) -> Outputs:
        """The outputs of `predict` and `neighbours`, and the probability of the case.

        ``probabilities`` of the cases ``[n, c]`` go before the classifier's.
        """
        result = self._estimated(images, probabilities)
        chosen = result.case[:, tf.newaxis] == tf.constant(self.cases)
        probability = tf.reduce_sum(tf.where(chosen, result.case_probability, 0.0), axis=1)
        return {
            **self._prediction(result),
            **self._neighbours(result),
            "case_probability": probability,
        }

    def classify(self, images: tf.Tensor) -> Outputs:
        """The most probable case, stored or not, and the probability of each."""
        probabilities = self._probabilities(images)
        best = tf.argmax(probabilities, axis=1)
        return {
            "case": tf.gather(tf.constant(self.cases), best),
            "case_probabilities": probabilities,
        }

    def adapt(self, images: tf.Tensor, case: tf.Tensor) -> Outputs:
        """Simulator images as the fab's microscope would show them."""
        known = tf.constant(sorted(self._adapters), tf.int32)
        all_known = tf.reduce_all(tf.reduce_any(case[:, tf.newaxis] == known, axis=1))
        one_each = tf.shape(case)[0] == tf.shape(images)[0]
        cases = ", ".join(map(str, sorted(self._adapters)))
        checks = [
            require(one_each, "case: give one for each image; got {}", tf.shape(case)),
            require(all_known, f"case must be one of {cases}; got {{}}", case),
        ]
        with tf.control_dependencies(checks):
            adapted = self._adapted(images, tf.identity(case))
        return {"adapted": adapted, "adapted_png_bytes": encode(adapted)}

    def stored_pair(self, case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor) -> Outputs:
        """A stored pair, moved as an estimate moves it."""
        with tf.control_dependencies([check_batch(tf.shape(case)[0])]):
            case = tf.identity(case)
        outputs: Outputs = self._stored_pair_pngs(case, pair, shift)
        return outputs

    def _estimated(self, images: tf.Tensor, probabilities: tf.Tensor | None = None) -> Estimate:
        if probabilities is None:
            return Estimate(*self._estimate(images, self._probabilities(images)))
        one_each = tf.equal(tf.shape(probabilities)[0], tf.shape(images)[0])
        message = "case_probabilities: give one row for each image; got {}"
        sum_to_1 = tf.abs(tf.reduce_sum(probabilities, axis=1) - 1.0) <= SUM_TOLERANCE
        valid = tf.reduce_all(sum_to_1) & tf.reduce_all(probabilities >= 0.0)
        checks = [
            require(one_each, message, tf.shape(probabilities)),
            require(valid, "case_probabilities must not be negative and must sum to 1"),
        ]
        with tf.control_dependencies(checks):
            return Estimate(*self._estimate(images, tf.identity(probabilities)))

    def _prediction(self, result: Estimate) -> Outputs:
        flags = [tf.where(getattr(result, field), flag, "") for field, flag in FLAGS.items()]
        spaced = tf.strings.regex_replace(tf.strings.join(flags, " "), " +", " ")
        return {
            "depth": result.depth,
            "sigma": result.sigma,
            "case": result.case,
            "case_probabilities": result.case_probability,
            "similarity": result.similarity,
            "flags": tf.strings.strip(spaced),
        }

    def _neighbours(self, result: Estimate) -> Outputs:
        present = (result.pair >= 0) & tf.math.is_finite(result.similarities)
        name = tf.fill(tf.shape(result.pair), "")
        for case, names in self._names.items():
            of_case = present & (result.case == int(case))[:, tf.newaxis]
            name = tf.where(of_case, tf.gather(names, tf.where(of_case, result.pair, 0)), name)
        return {
            "pair": tf.where(present, result.pair, -1),
            "name": name,
            "shifts": result.shift,
            "weights": result.weight,
            "similarities": tf.where(present, result.similarities, 0.0),
        }

    def _adapted_by_case(self, images: tf.Tensor, cases: tf.Tensor) -> tf.Tensor:
        adapted = tf.zeros_like(images)
        for case, adapter in self._adapters.items():
            adapted = _with_adapted(adapted, images, tf.where(cases == case), adapter)
        return adapted


def _with_adapted(
    adapted: tf.Tensor, images: tf.Tensor, indices: tf.Tensor, adapter: Adapter
) -> tf.Tensor:
    """``adapted`` with the images at ``indices`` adapted.

    Where there are none the adapter is not called: a convolution of no images may fail in a graph.
    """

    def updated() -> tf.Tensor:
        images_of_case = adapter(tf.gather(images, indices[:, 0]))
        return tf.tensor_scatter_nd_update(adapted, indices, images_of_case)

    return tf.cond(tf.size(indices) > 0, updated, lambda: adapted)


def _function(function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
    traced: Callable[..., Any] = tf.function(
        no_autograph(function), input_signature=specs, autograph=False
    )
    return traced
