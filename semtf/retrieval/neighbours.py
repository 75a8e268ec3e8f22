"""What a search returns."""

from typing import Any, NamedTuple

import tensorflow as tf


class Neighbours(NamedTuple):
    """The most similar pairs of each image, best first.

    Attributes:
        pair: int32 ``[q, k]``, the pair's index in the storage; a pair occurs once for an image.
        shift: int32 ``[q, k, 2]``, pixels (rows, columns) that align the key with the image.
        similarity: float32 ``[q, k]``, cosine of the z-scored pixels of the image and the
            shifted key; -inf where the search found fewer pairs than ``k``.
        fraction: float32 ``[q, k, 2]``, what the shift lacks to the best alignment, at most half
            a pixel; zero without ``retrieval.subpixel``.
    """

    pair: tf.Tensor
    shift: tf.Tensor
    similarity: tf.Tensor
    fraction: tf.Tensor

    def first(self, k: int) -> "Neighbours":
        """The ``k`` best of each image."""
        return Neighbours(*(part[:, :k] for part in self))

    def of(self, images: Any) -> "Neighbours":
        """The neighbours of the images that a slice or a mask selects."""
        return Neighbours(*(part[images] for part in self))

    def taken(self, indices: tf.Tensor) -> "Neighbours":
        """The neighbours at these indices of each image, int32 ``[q, m]``."""
        return Neighbours(*(tf.gather(part, indices, batch_dims=1) for part in self))

    def joined(self, others: "Neighbours") -> "Neighbours":
        """These neighbours and, behind them, others of the same images."""
        return Neighbours(*(tf.concat(both, axis=1) for both in zip(self, others, strict=True)))
