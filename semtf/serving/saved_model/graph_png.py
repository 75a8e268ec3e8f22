"""PNG bytes to grey levels inside the graph, under the grey policy of `semtf.data.png`.

``tf.io.decode_png`` cuts 16-bit samples to 8 bits, takes JPEG data, drops an alpha channel and
decodes any size, all without an error. So the graph reads the PNG header (ISO/IEC 15948) itself and
refuses what is no 8-bit grey image, or RGB of three equal channels, of the wanted size.
"""

import tensorflow as tf

from semtf.data.images import EXTRA_BYTES, TRANSPARENT
from semtf.data.png import ANIMATION, GREY, HEADER_END, RGB, SIGNATURE

REFUSED_CHUNKS = {
    b"tRNS": TRANSPARENT,
    ANIMATION: "it is an animation; save one image a file",
}

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
    "truncated: the file ends before its last chunk",
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
        the index of the first image that breaks the policy, and the reason.
    """
    reasons = [reason.format(rows=height, columns=width) for reason in REASONS]
    reason = _reason(files, height, width)
    index = tf.argmax(tf.not_equal(reason, 0), output_type=tf.int32)
    message = _message(index, tf.gather(reasons, tf.gather(reason, index)))
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(reason == 0), [message])]):
        files = tf.identity(files)
    pixels = tf.map_fn(
        lambda file: tf.ensure_shape(tf.io.decode_png(file, channels=3), [height, width, 3]),
        files,
        fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
    )
    differ = tf.reduce_any(pixels != pixels[..., :1], axis=[1, 2, 3])
    message = _message(tf.argmax(differ, output_type=tf.int32), tf.constant(COLOUR))
    channels_checked = tf.debugging.Assert(tf.logical_not(tf.reduce_any(differ)), [message])
    with tf.control_dependencies([channels_checked]):
        return tf.cast(pixels[..., 0], tf.float32)


def encode(images: tf.Tensor) -> tf.Tensor:
    """Grey levels ``[n, H, W]``, rounded and clipped to 0–255, as PNG bytes, string ``[n]``."""
    levels = tf.cast(tf.clip_by_value(tf.round(images), 0.0, 255.0), tf.uint8)[..., tf.newaxis]
    return tf.map_fn(tf.io.encode_png, levels, fn_output_signature=tf.TensorSpec([], tf.string))


def _message(index: tf.Tensor, reason: tf.Tensor) -> tf.Tensor:
    return tf.strings.join(["image ", tf.strings.as_string(index), ": ", reason])


def _reason(files: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """For each file the index in `REASONS` of why it is refused; 0 where it is not."""
    size = tf.strings.length(files)
    head = tf.cast(tf.io.decode_raw(files, tf.uint8, fixed_length=HEADER_END), tf.int32)
    rows, columns = _big_endian(head[:, 20:24]), _big_endian(head[:, 16:20])
    depth, colour = head[:, 24], head[:, 25]
    # Only chunks before the pixels count; in RE2, \C is any byte.
    chunks_before_pixels = tf.strings.regex_replace(files, r"IDAT\C*", "")
    refused = [
        tf.strings.regex_full_match(chunks_before_pixels, rf"\C*{kind.decode()}\C*")
        for kind in REFUSED_CHUNKS
    ]
    conditions = [
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
        tf.logical_not(tf.strings.regex_full_match(files, r"\C*IEND\C{4}\C*")),
        *refused,
    ]
    first = tf.argmax(tf.stack([tf.zeros_like(conditions[0]), *conditions], axis=1), axis=1)
    return tf.cast(first, tf.int32)


def _big_endian(four_bytes: tf.Tensor) -> tf.Tensor:
    """Big-endian 32-bit numbers ``[n]`` from bytes ``[n, 4]``.

    Those of 2³¹ and more become negative, and so fit no size.
    """
    return tf.bitwise.left_shift(four_bytes[:, 0], 24) + tf.tensordot(
        four_bytes[:, 1:], [65536, 256, 1], 1
    )
