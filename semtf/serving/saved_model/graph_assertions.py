"""Checks in the graph, whose messages a client of any server can read."""

import tensorflow as tf

from semtf.data.grey_levels import ABOVE, DARK, DARKEST, NEGATIVE, WHITE

MAX_BATCH = 256
"""Images that one request may hold."""


def require(condition: tf.Tensor, message: str, *values: tf.Tensor) -> tf.Operation:
    """Fail with a message where a condition is false; each ``{}`` in it is a value."""
    return tf.debugging.Assert(condition, [tf.strings.format(message, values)])


def check_batch(count: tf.Tensor) -> tf.Operation:
    """Fail where a request holds no image, or more than `MAX_BATCH`."""
    return require(
        (count >= 1) & (count <= MAX_BATCH),
        f"a request holds 1 to {MAX_BATCH} images; got {{}}",
        count,
    )


def check_floats(images: tf.Tensor, height: int, width: int) -> list[tf.Operation]:
    """Fail where float images have another shape, are too many, or cannot be grey levels."""
    expected = f"images must be [batch, {height}, {width}] or [batch, {height}, {width}, 1]"
    shape = tf.shape(images)
    padded = tf.concat([shape, [0, 0, 0]], axis=0)
    fits = tf.logical_and(
        tf.reduce_all(tf.equal(padded[1:3], [height, width])),
        tf.equal(tf.size(images), padded[0] * height * width),
    )
    shape_checked = require(fits, f"{expected} (rows, columns); got shape {{}}", shape)
    with tf.control_dependencies([shape_checked]):
        batch_checked = check_batch(padded[0])
    finite_checked = require(
        tf.reduce_all(tf.math.is_finite(images)),
        "images must be finite grey levels; got NaN or infinity",
    )
    checked = [shape_checked, batch_checked, finite_checked]
    with tf.control_dependencies(checked):
        flat = tf.reshape(images, [-1, height * width])
    return [*checked, *_check_levels(flat)]


def _check_levels(flat: tf.Tensor) -> list[tf.Operation]:
    """Fail where floats ``[n, pixels]`` break the rules of `semtf.data.grey_levels`."""
    low, high = tf.reduce_min(flat, axis=1), tf.reduce_max(flat, axis=1)
    checks: list[tf.Operation] = []
    for wrong, values, message in (
        (low < 0.0, low, NEGATIVE),
        (high > WHITE, high, ABOVE),
        (high <= DARKEST, high, DARK),
    ):
        place = tf.argmax(wrong, output_type=tf.int32)
        # One after the other: an image in −1…1 is wrong in two ways and must be told the first.
        with tf.control_dependencies(checks):
            right = tf.logical_not(tf.reduce_any(wrong))
            checks = [*checks, require(right, message, place, tf.gather(values, place))]
    return checks
