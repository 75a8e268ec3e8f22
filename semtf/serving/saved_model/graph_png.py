"""PNG bytes to grey levels inside the graph, under the grey policy of `semtf.data.images`.

``tf.io.decode_png`` cuts 16-bit samples to 8 bits, takes JPEG data, drops an alpha channel and
decodes any size, all without a word. So the graph reads the PNG header (ISO/IEC 15948) itself and
refuses what is no 8-bit grey image, or RGB of three equal channels, of the wanted size.
"""

import tensorflow as tf

from semtf.data.images import EXTRA_BYTES, GREY, HEADER_END, REFUSED_CHUNKS, RGB, SIGNATURE

REASONS = (
    "",
    "the file is empty",
    "too many bytes for one image",
    "JPEG data: JPEG changes grey levels, so export it as PNG",
    "it is no PNG file",
    "it is {columns} x {rows} (rows x columns), expected {rows} x {columns} (transposed?)",
    "it is not of the expected size {rows} x {columns} (rows x columns)",
    "it has a colour palette; save it as 8-bit grey",
    "it has an alpha channel; save it as 8-bit grey",
    "it does not have 8 bits a sample; save it as 8-bit grey",
    "damaged: its header names methods that do not exist",
    *REFUSED_CHUNKS.values(),
)
COLOUR = "a colour image (its three channels differ); save it as grey"


def decode(files: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Decode PNG files.

    Args:
        files: string ``[n]``, the bytes of one image each.
        height: expected rows.
        width: expected columns.

    Returns:
        float32 ``[n, height, width]`` in grey levels. The graph fails with a message that names
        the place of the first image that breaks the policy, and the reason.
    """
    reasons = [reason.format(rows=height, columns=width) for reason in REASONS]
    reason = _reason(files, height, width)
    place = tf.argmax(tf.not_equal(reason, 0), output_type=tf.int32)
    message = _about(place, tf.gather(reasons, tf.gather(reason, place)))
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(reason == 0), [message])]):
        files = tf.identity(files)
    pixels = tf.map_fn(
        lambda file: tf.ensure_shape(tf.io.decode_png(file, channels=3), [height, width, 3]),
        files,
        fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
    )
    differ = tf.reduce_any(pixels != pixels[..., :1], axis=[1, 2, 3])
    message = _about(tf.argmax(differ, output_type=tf.int32), tf.constant(COLOUR))
    equal = tf.debugging.Assert(tf.logical_not(tf.reduce_any(differ)), [message])
    with tf.control_dependencies([equal]):
        return tf.cast(pixels[..., 0], tf.float32)


def encode(images: tf.Tensor) -> tf.Tensor:
    """Grey levels ``[n, H, W]``, rounded and clipped to 0–255, as PNG bytes, string ``[n]``."""
    levels = tf.cast(tf.clip_by_value(tf.round(images), 0.0, 255.0), tf.uint8)[..., tf.newaxis]
    return tf.map_fn(tf.io.encode_png, levels, fn_output_signature=tf.TensorSpec([], tf.string))


def _about(place: tf.Tensor, reason: tf.Tensor) -> tf.Tensor:
    return tf.strings.join(["image ", tf.strings.as_string(place), ": ", reason])


def _reason(files: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """For each file the place in `REASONS` of the first thing wrong with it; 0 for nothing."""
    size = tf.strings.length(files)
    head = tf.cast(tf.io.decode_raw(files, tf.uint8, fixed_length=HEADER_END), tf.int32)
    rows, columns = _number(head[:, 20:24]), _number(head[:, 16:20])
    depth, colour = head[:, 24], head[:, 25]
    # What stands before the pixels; in RE2, \C is any byte.
    front = tf.strings.regex_replace(files, r"IDAT\C*", "")
    refused = [
        tf.strings.regex_full_match(front, rf"\C*{kind.decode()}\C*") for kind in REFUSED_CHUNKS
    ]
    wrong = [
        size == 0,
        size > EXTRA_BYTES + 8 * height * width,
        tf.reduce_all(head[:, :2] == [0xFF, 0xD8], axis=1),
        tf.reduce_any(head[:, :16] != list(SIGNATURE + b"\x00\x00\x00\rIHDR"), axis=1),
        (rows == width) & (columns == height) & (height != width),
        (rows != height) | (columns != width),
        colour == 3,
        (colour == 4) | (colour == 6),
        (depth != 8) | ((colour != GREY) & (colour != RGB)),
        tf.reduce_any(head[:, 26:28] != 0, axis=1) | (head[:, 28] > 1),
        *refused,
    ]
    first = tf.argmax(tf.stack([tf.zeros_like(wrong[0]), *wrong], axis=1), axis=1)
    return tf.cast(first, tf.int32)


def _number(four: tf.Tensor) -> tf.Tensor:
    """Big-endian 32-bit numbers; the largest ones become negative, and fit no size."""
    return tf.bitwise.left_shift(four[:, 0], 24) + tf.tensordot(four[:, 1:], [65536, 256, 1], 1)
