"""Uncertainties of measurements by propagation: in TensorFlow, without draws.

The law of propagation of uncertainty (JCGM 100, section 5.2) with the covariance of
`semtf.estimation.joint`: what a measurement changes with each pixel, times what the pixels err
together, times the scale of the quantity. `semtf.estimation.uncertain_measurements` does the same
by draws, for all measurements.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.estimation.joint import ErrorPatterns
from semtf.metrology.graph import NAMES, measured
from semtf.metrology.hole import quantity

UNKNOWN = -1.0
"""Instead of a measurement or an uncertainty that there is not; none of them can be negative."""


class ErrorModel(tf.Module):
    """How the errors of the cases' pixels go together, in TensorFlow.

    Args:
        errors: by case; cases that are not in it have unknown uncertainties.
        size: ``(H, W)`` of a map.
    """

    def __init__(self, errors: Mapping[int, ErrorPatterns], size: tuple[int, int]) -> None:
        super().__init__(name="errors")
        self.cases = tuple(errors)
        rank = max((len(one.patterns) for one in errors.values()), default=0)
        stacked = np.zeros((len(errors) + 1, rank + 1, *size), np.float32)
        for i, one in enumerate(errors.values()):
            stacked[i, : len(one.patterns)] = one.patterns
            stacked[i, -1] = one.rest
        # The last row stands for cases whose errors are not known.
        self.patterns = tf.Variable(stacked, trainable=False, name="patterns")
        scales = np.ones((len(stacked), len(NAMES)), np.float32)
        for i, one in enumerate(errors.values()):
            scales[i] = [one.scales.get(quantity(name), 1.0) for name in NAMES]
        self.scales = tf.Variable(scales, trainable=False, name="scales")

    @no_autograph
    def measurements(
        self, depth: tf.Tensor, sigma: tf.Tensor, case: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The measurements of estimates, and their standard uncertainties with ``u_`` before.

        Args:
            depth, sigma: ``[q, H, W]``, grey levels.
            case: int32 ``[q]``.

        Returns:
            float32 ``[q]`` each, by name of `semtf.metrology.graph.NAMES`; `UNKNOWN` without a
            whole hole, and where the errors of the case are not known.
        """
        row = tf.fill(tf.shape(case), len(self.cases))
        for i, number in enumerate(self.cases):
            row = tf.where(case == number, i, row)
        values, uncertainty = tf.map_fn(
            self._propagated,
            (depth, sigma, row),
            fn_output_signature=(
                tf.TensorSpec([len(NAMES)], tf.float32),
                tf.TensorSpec([len(NAMES)], tf.float32),
            ),
        )
        found = {name: values[:, i] for i, name in enumerate(NAMES)}
        return found | {f"u_{name}": uncertainty[:, i] for i, name in enumerate(NAMES)}

    def _propagated(
        self, image: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Measurements and uncertainties ``[m]`` of one estimate."""
        depth, sigma, row = image
        # A copy for each measurement, so that one pass back gives the derivatives of all.
        copies = tf.repeat(depth[None], len(NAMES), axis=0)
        with tf.GradientTape() as tape:
            tape.watch(copies)
            values, whole = measured(copies)
            own = tf.linalg.diag_part(values)
        change = tape.gradient(own, copies) * sigma
        patterns = self.patterns[row]
        together = tf.einsum("mhw,rhw->mr", change, patterns[:-1])
        apart = tf.square(change * patterns[-1])
        variance = tf.reduce_sum(tf.square(together), 1) + tf.reduce_sum(apart, [1, 2])
        measurable = whole[0]
        u_known = measurable & (row < len(self.cases))
        return (
            tf.where(measurable, own, UNKNOWN),
            tf.where(u_known, self.scales[row] * tf.sqrt(variance), UNKNOWN),
        )
