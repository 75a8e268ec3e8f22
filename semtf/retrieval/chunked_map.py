"""Work through a batch in pieces inside a graph, so that memory stays bounded."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def chunked_map(
    function: Callable[..., tuple[tf.Tensor, ...]],
    tensors: Sequence[tf.Tensor],
    chunk: int,
    dtypes: Sequence[tf.DType],
) -> tuple[tf.Tensor, ...]:
    """Apply ``function`` to equal slices of at most ``chunk`` along the first axis, and join.

    Args:
        function: maps slices of ``tensors`` to a tuple of tensors of the same length.
        tensors: tensors of one common length, which may be 0.
        chunk: longest slice.
        dtypes: the types of the results.

    Returns:
        The results of all slices, concatenated along the first axis.
    """
    total = tf.shape(tensors[0])[0]
    pieces = tf.maximum(1, (total + chunk - 1) // chunk)
    length = (total + pieces - 1) // pieces
    arrays = [tf.TensorArray(d, size=pieces, infer_shape=False) for d in dtypes]

    def one(piece: tf.Tensor, arrays: list[tf.TensorArray]) -> tuple[tf.Tensor, list]:
        start = piece * length
        results = function(*(tensor[start : start + length] for tensor in tensors))
        shapes.extend(result.shape[1:] for result in results)
        return piece + 1, [a.write(piece, r) for a, r in zip(arrays, results, strict=True)]

    shapes: list[tf.TensorShape] = []
    _, arrays = tf.while_loop(
        lambda piece, _: piece < pieces, one, (tf.constant(0), arrays), parallel_iterations=1
    )
    joined = [array.concat() for array in arrays]
    known = tensors[0].shape[:1]
    return tuple(
        tf.ensure_shape(value, known.concatenate(shape))
        for value, shape in zip(joined, shapes, strict=False)
    )
