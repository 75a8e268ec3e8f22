"""The signatures of an export: the estimation graph behind checks that a client can read."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from semtf.adaptation.base import Adapter
from semtf.autograph import no_autograph
from semtf.estimation.graph import Estimate, EstimatorModels, classify, estimate
from semtf.estimation.result import FLAGS
from semtf.serving.saved_model.graph_assertions import check_batch, check_floats, require
from semtf.serving.saved_model.graph_png import decode, encode
from semtf.serving.saved_model.stored_pairs import stored_pngs

Outputs = dict[str, tf.Tensor]
SUM_TOLERANCE = 1e-3


class Model(tf.Module):
    """Everything that the signatures compute, traced once and called by each of them.

    Args:
        parts: classifier and retrievers of a run.
        adapters: by case, simulator images ``[n, H, W]`` in grey levels to fab-like ones.
    """

    def __init__(self, parts: EstimatorModels, adapters: Mapping[int, Adapter]) -> None:
        super().__init__(name="semtf")
        self.cases = parts.cases
        self.height, self.width = next(iter(parts.retrievers.values())).shape
        self._adapters = dict(adapters)
        with tf.device("CPU"):
            self._names = {
                str(case): tf.Variable(retriever.storage.names, trainable=False, name="names")
                for case, retriever in parts.retrievers.items()
            }
        images = tf.TensorSpec([None, self.height, self.width], tf.float32)
        shares = tf.TensorSpec([None, len(self.cases)], tf.float32)
        cases = tf.TensorSpec([None], tf.int32)
        self._classify = _function(lambda images: classify(images, parts), images)
        self._estimate = _function(
            lambda images, shares: estimate(images, shares, parts), images, shares
        )
        self._adapt = _function(self._adapted, images, cases)
        self._pngs = _function(
            lambda *asked: stored_pngs(parts.retrievers, *asked),
            cases,
            cases,
            tf.TensorSpec([None, 2], tf.int32),
        )

    @property
    def signatures(self) -> dict[str, tuple[Callable[..., Outputs], list[tf.TensorSpec]]]:
        """By name, each signature's function and the specs of its inputs."""
        files = tf.TensorSpec([None], tf.string, name="image_bytes")
        floats = tf.TensorSpec(None, tf.float32, name="images")
        shares = tf.TensorSpec([None, len(self.cases)], tf.float32, name="case_probabilities")
        case = tf.TensorSpec([None], tf.int32, name="case")
        pair = tf.TensorSpec([None], tf.int32, name="pair")
        shift = tf.TensorSpec([None, 2], tf.int32, name="shift")
        return {
            "serving_default": (self._png(self._prediction), [files]),
            "predict_float": (self._float(self._prediction), [floats]),
            "predict_png": (self._png(self._depth_png), [files]),
            "estimate": (self._png(self._everything), [files]),
            "estimate_given_case": (self._png(self._everything), [files, shares]),
            "neighbours": (self._png(self._neighbours), [files]),
            "classify": (self._png(self._classified), [files]),
            "adapt": (self._png(self._fab_like), [files, case]),
            "adapt_float": (self._float(self._fab_like), [floats, case]),
            "stored": (self._stored, [case, pair, shift]),
        }

    def _png(self, answer: Callable[..., Outputs]) -> Callable[..., Outputs]:
        @no_autograph
        def signature(image_bytes: tf.Tensor, *more: tf.Tensor) -> Outputs:
            with tf.control_dependencies([check_batch(tf.shape(image_bytes)[0])]):
                files = tf.identity(image_bytes)
            return answer(decode(files, self.height, self.width), *more)

        return signature

    def _float(self, answer: Callable[..., Outputs]) -> Callable[..., Outputs]:
        @no_autograph
        def signature(images: tf.Tensor, *more: tf.Tensor) -> Outputs:
            with tf.control_dependencies(check_floats(images, self.height, self.width)):
                images = tf.reshape(images, [-1, self.height, self.width])
            return answer(images, *more)

        return signature

    def _found(self, images: tf.Tensor, shares: tf.Tensor | None = None) -> Estimate:
        if shares is None:
            return Estimate(*self._estimate(images, self._classify(images)))
        same = tf.equal(tf.shape(shares)[0], tf.shape(images)[0])
        message = "case_probabilities: give one row for each image; got {}"
        sums = tf.abs(tf.reduce_sum(shares, axis=1) - 1.0) <= SUM_TOLERANCE
        valid = tf.reduce_all(sums) & tf.reduce_all(shares >= 0.0)
        checks = [
            require(same, message, tf.shape(shares)),
            require(valid, "case_probabilities must not be negative and must sum to 1"),
        ]
        with tf.control_dependencies(checks):
            return Estimate(*self._estimate(images, tf.identity(shares)))

    def _prediction(self, images: tf.Tensor) -> Outputs:
        return self._told(self._found(images))

    def _told(self, found: Estimate) -> Outputs:
        words = [tf.where(getattr(found, field), word, "") for field, word in FLAGS.items()]
        spaced = tf.strings.regex_replace(tf.strings.join(words, " "), " +", " ")
        return {
            "depth": found.depth,
            "sigma": found.sigma,
            "case": found.case,
            "case_probabilities": found.case_probability,
            "similarity": found.similarity,
            "flags": tf.strings.strip(spaced),
        }

    def _depth_png(self, images: tf.Tensor) -> Outputs:
        return {"depth_png_bytes": encode(self._found(images).depth)}

    def _everything(self, images: tf.Tensor, shares: tf.Tensor | None = None) -> Outputs:
        found = self._found(images, shares)
        chosen = found.case[:, tf.newaxis] == tf.constant(self.cases)
        probability = tf.reduce_sum(tf.where(chosen, found.case_probability, 0.0), axis=1)
        return {**self._told(found), **self._pairs(found), "case_probability": probability}

    def _neighbours(self, images: tf.Tensor) -> Outputs:
        return self._pairs(self._found(images))

    def _pairs(self, found: Estimate) -> Outputs:
        present = (found.pair >= 0) & tf.math.is_finite(found.similarities)
        name = tf.fill(tf.shape(found.pair), "")
        for case, names in self._names.items():
            here = present & (found.case == int(case))[:, tf.newaxis]
            name = tf.where(here, tf.gather(names, tf.where(here, found.pair, 0)), name)
        return {
            "pair": tf.where(present, found.pair, -1),
            "name": name,
            "shifts": found.shift,
            "weights": found.weight,
            "similarities": tf.where(present, found.similarities, 0.0),
        }

    def _classified(self, images: tf.Tensor) -> Outputs:
        probability = self._classify(images)
        best = tf.argmax(probability, axis=1)
        return {
            "case": tf.gather(tf.constant(self.cases), best),
            "case_probabilities": probability,
        }

    def _fab_like(self, images: tf.Tensor, case: tf.Tensor) -> Outputs:
        known = tf.constant(sorted(self._adapters), tf.int32)
        fits = tf.reduce_all(tf.reduce_any(case[:, tf.newaxis] == known, axis=1))
        same = tf.shape(case)[0] == tf.shape(images)[0]
        cases = ", ".join(map(str, sorted(self._adapters)))
        checks = [
            require(same, "case: give one for each image; got {}", tf.shape(case)),
            require(fits, f"case must be one of {cases}; got {{}}", case),
        ]
        with tf.control_dependencies(checks):
            adapted = self._adapt(images, tf.identity(case))
        return {"adapted": adapted, "adapted_png_bytes": encode(adapted)}

    @no_autograph
    def _stored(self, case: tf.Tensor, pair: tf.Tensor, shift: tf.Tensor) -> Outputs:
        with tf.control_dependencies([check_batch(tf.shape(case)[0])]):
            case = tf.identity(case)
        pngs: Outputs = self._pngs(case, pair, shift)
        return pngs

    def _adapted(self, images: tf.Tensor, cases: tf.Tensor) -> tf.Tensor:
        adapted = tf.zeros_like(images)
        for case, adapter in self._adapters.items():
            adapted = _replaced(adapted, images, tf.where(cases == case), adapter)
        return adapted


def _replaced(
    adapted: tf.Tensor, images: tf.Tensor, rows: tf.Tensor, adapter: Adapter
) -> tf.Tensor:
    """``adapted`` with some rows replaced; convolutions of no images may fail in a graph."""

    def replaced() -> tf.Tensor:
        some = adapter(tf.gather(images, rows[:, 0]))
        return tf.tensor_scatter_nd_update(adapted, rows, some)

    return tf.cond(tf.size(rows) > 0, replaced, lambda: adapted)


def _function(function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
    traced: Callable[..., Any] = tf.function(function, input_signature=specs, autograph=False)
    return traced
