"""The signatures of an export: the estimation graph behind checks that a client can read."""

from collections.abc import Callable

import tensorflow as tf

from semtf.config import Weights
from semtf.estimation.graph import Parts, classify, estimate

Outputs = dict[str, tf.Tensor]


def predict_float(parts: Parts, k: int, weights: Weights) -> Callable[[tf.Tensor], Outputs]:
    """From float images to depth, case and similarity.

    The function takes ``images``, float32 ``[q, H, W]`` or ``[q, H, W, 1]`` in grey levels, and
    gives ``depth`` ``[q, H, W]`` in grey levels, ``case`` ``[q]`` and ``similarity`` ``[q]``. It
    fails with a message on another shape and on values that are not finite.
    """
    height, width = next(iter(parts.retrievers.values())).shape

    @tf.autograph.experimental.do_not_convert
    def signature(images: tf.Tensor) -> Outputs:
        with tf.control_dependencies(_checks(images, height, width)):
            images = tf.reshape(images, [tf.shape(images)[0], height, width])
        found = estimate(images, classify(images, parts), parts, k, weights)
        return {"depth": found.depth, "case": found.case, "similarity": found.similarity}

    return signature


def _checks(images: tf.Tensor, height: int, width: int) -> list[tf.Operation]:
    wanted = f"images must be [batch, {height}, {width}] or [batch, {height}, {width}, 1]"
    shape = tf.shape(images)
    right = tf.logical_and(
        tf.reduce_all(tf.equal(shape[1:3], [height, width])),
        tf.equal(tf.size(images), tf.maximum(shape[0], 1) * height * width),
    )
    return [
        tf.debugging.Assert(right, [f"{wanted} (rows, columns); got shape", shape]),
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(images)),
            ["images must be finite grey levels; got NaN or infinity"],
        ),
    ]
