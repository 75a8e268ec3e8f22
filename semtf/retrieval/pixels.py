"""The stored pixels of one case: keys compared with images, depth values blended."""

import numpy as np
import tensorflow as tf

from semtf.config import RetrievalConfig
from semtf.retrieval.alignment import blended, moved_sum, peak, shares, shift_number
from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.embedding import adjoint_shifts, shifts
from semtf.retrieval.embeddings import flat
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.storage import Storage

CHUNK_FLOATS = 1 << 22


class Pixels(tf.Module):
    """Keys and depth values of a storage in memory.

    Values are held as what they lie below the plate. Their weighted sum is then exactly 0 where
    all neighbours show plate, and never above the plate.

    Attributes:
        shape: ``(H, W)``.
        plate: grey level of the plate, the largest of all values.
        lengths: float32 ``[n, S]``, length of each key in each shift, its mean taken off.
    """

    def __init__(self, storage: Storage, config: RetrievalConfig, norms: np.ndarray) -> None:
        super().__init__(name="pixels")
        self._radius, self._subpixel = config.shift, config.subpixel
        self.shape = storage.keys.shape[1:]
        values = flat(storage.values)
        self.plate = int(values.max())
        with tf.device("CPU"):
            self._keys = tf.Variable(flat(storage.keys), trainable=False, name="keys")
            self._drops = tf.Variable(np.uint8(self.plate) - values, trainable=False, name="drops")
        storage.release()
        self.norms = tf.Variable(norms, trainable=False, name="lengths")
        self._shifts = tf.constant(shifts(config.shift))

    def compared(self, images: tf.Tensor, pair: tf.Tensor, found: tf.Tensor, k: int) -> Neighbours:
        """The ``k`` of some pairs that are most like an image on all pixels, in any shift.

        Args:
            images: normalised, float32 ``[q, H, W]``.
            pair: int32 ``[q, m]``.
            found: bool ``[q, m]``, False where there is no pair.
            k: at most ``m``.
        """

        def some(images: tf.Tensor, pair: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, ...]:
            keys = tf.cast(tf.gather(self._keys, pair), tf.float32)
            views = adjoint_shifts(images, self._radius)
            views = tf.reshape(views, [-1, views.shape[1], keys.shape[2]])
            cosine = tf.matmul(keys, views, transpose_b=True)
            cosine = tf.math.divide_no_nan(cosine, tf.gather(self.norms, pair))
            best = tf.where(found, tf.reduce_max(cosine, axis=2), -np.inf)
            similarity, place = tf.math.top_k(best, k)
            cosine = tf.gather(cosine, place, batch_dims=1)
            shift = tf.gather(self._shifts, tf.argmax(cosine, axis=2))
            fraction = peak(cosine, self._radius) if self._subpixel else tf.zeros_like(shift)
            pair = tf.gather(pair, place, batch_dims=1)
            return pair, shift, similarity, tf.cast(fraction, tf.float32)

        types = (tf.int32, tf.int32, tf.float32, tf.float32)
        return Neighbours(*chunked_map(some, (images, pair, found), self._chunk(pair), types))

    def keys(self, neighbours: Neighbours) -> tf.Tensor:
        """The keys of neighbours moved with their shift, float32 ``[q, k, H, W]``."""
        return self._moved(self._keys, neighbours)

    def values(self, neighbours: Neighbours) -> tf.Tensor:
        """The depth values of neighbours moved with their shift, float32 ``[q, k, H, W]``."""
        return self.plate - self._moved(self._drops, neighbours)

    def blend(self, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of moved depth values, at most the plate's level.

        Args:
            neighbours: ``k`` of each of ``q`` images.
            weights: float32 ``[q, k]``, summing to one.

        Returns:
            Grey levels, float32 ``[q, H, W]``.
        """
        return self.plate - tf.nn.relu(self._blended(self._drops, neighbours, weights))

    def mean_and_variance(
        self, neighbours: Neighbours, counts: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the depth values, moved by whole pixels, each counted some times.

        With whole counts of less than 250 in all, float32 holds the sums and float64 their squares
        without rounding: where all values agree the variance is exactly 0.

        Args:
            neighbours: ``k`` of each of ``q`` images.
            counts: whole numbers as float32 ``[q, k]``, at least one of them positive.

        Returns:
            Grey levels and their squares, float32 ``[q, H, W]`` both.
        """

        def some(pair: tf.Tensor, shift: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, ...]:
            drops = tf.cast(tf.gather(self._drops, pair), tf.float32)
            share = shares(shift, counts, self._radius)
            sums = [tf.matmul(share, drops), tf.matmul(share, tf.square(drops))]
            sums = [tf.cast(moved_sum(s, self._radius, self.shape), tf.float64) for s in sums]
            total = tf.cast(tf.reduce_sum(counts, axis=1), tf.float64)[:, None, None]
            mean, square = (part / total for part in sums)
            variance = tf.nn.relu(square - tf.square(mean))
            return self.plate - tf.cast(mean, tf.float32), tf.cast(variance, tf.float32)

        parts = (neighbours.pair, neighbours.shift, counts)
        return chunked_map(some, parts, self._chunk(counts), (tf.float32, tf.float32))

    def rebuilt(self, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of normalised, moved keys, float32 ``[q, H, W]``, of mean 0."""
        number = shift_number(neighbours.shift, self._radius)
        norms = tf.gather(tf.gather(self.norms, neighbours.pair), number, batch_dims=2)
        scaled = tf.math.divide_no_nan(weights, norms)
        total = self._blended(self._keys, neighbours, scaled)
        return total - tf.reduce_mean(total, axis=[1, 2], keepdims=True)

    def _blended(
        self, stored: tf.Variable, neighbours: Neighbours, weights: tf.Tensor
    ) -> tf.Tensor:
        def some(pair: tf.Tensor, shift: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor]:
            return (blended(stored, pair, shift, weights, self._radius, self.shape),)

        shift = tf.cast(neighbours.shift, tf.float32) + neighbours.fraction
        parts = (neighbours.pair, shift, weights)
        return chunked_map(some, parts, self._chunk(weights), (tf.float32,))[0]

    def _chunk(self, per_neighbour: tf.Tensor) -> int:
        return max(1, CHUNK_FLOATS // (per_neighbour.shape[1] * self._keys.shape[1]))

    def _moved(self, stored: tf.Variable, neighbours: Neighbours) -> tf.Tensor:
        pair = tf.reshape(neighbours.pair, [-1, 1])
        shift = tf.reshape(neighbours.shift, [-1, 1, 2])
        one = tf.ones_like(pair, tf.float32)
        images = blended(stored, pair, shift, one, self._radius, self.shape)
        return tf.reshape(images, [-1, neighbours.pair.shape[1], *self.shape])
