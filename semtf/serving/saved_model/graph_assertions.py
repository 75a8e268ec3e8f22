"""Checks in the graph, whose messages a client of any server can read."""

import tensorflow as tf

MAX_BATCH = 256
"""Images that one request may hold."""


def require(true: tf.Tensor, message: str, *values: tf.Tensor) -> tf.Operation:
    """Fail with one sentence, in which each ``{}`` is a value."""
    return tf.debugging.Assert(true, [tf.strings.format(message, values)])


def check_batch(count: tf.Tensor) -> tf.Operation:
    """Fail where a request holds no image, or too many."""
    return require(
        (count >= 1) & (count <= MAX_BATCH),
        f"a request holds 1 to {MAX_BATCH} images; got {{}}",
        count,
    )


def check_floats(images: tf.Tensor, height: int, width: int) -> list[tf.Operation]:
    """Fail where float images are of another shape, too many, or not finite."""
    wanted = f"images must be [batch, {height}, {width}] or [batch, {height}, {width}, 1]"
    shape = tf.shape(images)
    padded = tf.concat([shape, [0, 0, 0]], axis=0)
    right = tf.logical_and(
        tf.reduce_all(tf.equal(padded[1:3], [height, width])),
        tf.equal(tf.size(images), padded[0] * height * width),
    )
    shaped = require(right, f"{wanted} (rows, columns); got shape {{}}", shape)
    with tf.control_dependencies([shaped]):
        batch = check_batch(padded[0])
    finite = require(
        tf.reduce_all(tf.math.is_finite(images)),
        "images must be finite grey levels; got NaN or infinity",
    )
    return [shaped, batch, finite]
