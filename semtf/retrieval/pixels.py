"""The pixels of one case's pairs: keys compared with images, depth values blended."""

import numpy as np
import tensorflow as tf

from semtf.config import RetrievalConfig
from semtf.retrieval.alignment import blended, moved_sum, peak, shift_index, shift_shares
from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.shifts import adjoint_shifts, shifts
from semtf.retrieval.storage import Storage

CHUNK_FLOATS = 1 << 22


class Pixels(tf.Module):
    """Keys and depth values of a storage in memory.

    Values are held as how far they lie below the plate. Their weighted sum is then exactly 0 where
    all neighbours show plate, and never above the plate.

    Attributes:
        shape: ``(H, W)``.
        plate: grey level of the plate, the largest of all values.
        norms: float32 ``[n, S]``, norm of each key in each shift, its mean taken off.
    """

    def __init__(self, storage: Storage, config: RetrievalConfig, norms: np.ndarray) -> None:
        super().__init__(name="pixels")
        self._radius, self._subpixel = config.shift, config.subpixel
        self._edges, self._move_depth = config.edges, config.move_depth
        self.shape = storage.keys.shape[1:]
        values = flat_pixels(storage.values)
        self.plate = int(values.max())
        below_plate = np.uint8(self.plate) - values
        with tf.device("CPU"):
            self._keys = tf.Variable(flat_pixels(storage.keys), trainable=False, name="keys")
            self._below_plate = tf.Variable(below_plate, trainable=False, name="below_plate")
        storage.release()
        self.norms = tf.Variable(norms, trainable=False, name="norms")
        self._shifts = tf.constant(shifts(config.shift))

    def most_similar(
        self, images: tf.Tensor, pair: tf.Tensor, present: tf.Tensor, k: int
    ) -> Neighbours:
        """The ``k`` of each image's candidates that are most like it on all pixels, in any shift.

        Args:
            images: normalised, float32 ``[q, H, W]``.
            pair: int32 ``[q, m]``, the candidates.
            present: bool ``[q, m]``, False where there is no candidate.
            k: at most ``m``.
        """

        def compared(
            images: tf.Tensor, pair: tf.Tensor, present: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            keys = tf.cast(tf.gather(self._keys, pair), tf.float32)
            views = adjoint_shifts(images, self._radius, self._edges)
            views = tf.reshape(views, [-1, views.shape[1], keys.shape[2]])
            cosine = tf.matmul(keys, views, transpose_b=True)
            cosine = tf.math.divide_no_nan(cosine, tf.gather(self.norms, pair))
            best = tf.where(present, tf.reduce_max(cosine, axis=2), -np.inf)
            similarity, chosen = tf.math.top_k(best, k)
            cosine = tf.gather(cosine, chosen, batch_dims=1)
            shift = tf.gather(self._shifts, tf.argmax(cosine, axis=2))
            fraction = peak(cosine, self._radius) if self._subpixel else tf.zeros_like(shift)
            pair = tf.gather(pair, chosen, batch_dims=1)
            return pair, shift, similarity, tf.cast(fraction, tf.float32)

        types = (tf.int32, tf.int32, tf.float32, tf.float32)
        parts = (images, pair, present)
        return Neighbours(*chunked_map(compared, parts, self._chunk(pair), types))

    def keys(self, neighbours: Neighbours) -> tf.Tensor:
        """The keys of neighbours moved by their shift, float32 ``[q, k, H, W]``."""
        return self._moved(self._keys, neighbours)

    def values(self, neighbours: Neighbours) -> tf.Tensor:
        """The depth values of neighbours moved by their shift, float32 ``[q, k, H, W]``."""
        return self.plate - self._moved(self._below_plate, self._with_depth(neighbours))

    def blended_values(self, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of moved depth values, at most the plate's level.

        Args:
            neighbours: ``k`` of each of ``q`` images.
            weights: float32 ``[q, k]``, summing to one.

        Returns:
            Grey levels, float32 ``[q, H, W]``.
        """
        neighbours = self._with_depth(neighbours)
        return self.plate - tf.nn.relu(self._blended(self._below_plate, neighbours, weights))

    def mean_and_variance(
        self, neighbours: Neighbours, counts: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the depth values, each of which counts several times.

        Values are moved by whole pixels. With whole counts of less than 250 in all, float32 holds
        the sums and float64 their squares without rounding: where all values agree the variance is
        exactly 0.

        Args:
            neighbours: ``k`` of each of ``q`` images.
            counts: whole numbers as float32 ``[q, k]``, at least one of them positive.

        Returns:
            Grey levels and their squares, float32 ``[q, H, W]`` both.
        """

        def moments(pair: tf.Tensor, shift: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, ...]:
            below_plate = tf.cast(tf.gather(self._below_plate, pair), tf.float32)
            shares = shift_shares(shift, counts, self._radius)
            sums = [tf.matmul(shares, below_plate), tf.matmul(shares, tf.square(below_plate))]
            sums = [moved_sum(s, self._radius, self.shape, self._edges) for s in sums]
            sums = [tf.cast(s, tf.float64) for s in sums]
            total = tf.cast(tf.reduce_sum(counts, axis=1), tf.float64)[:, None, None]
            mean, mean_square = (part / total for part in sums)
            variance = tf.nn.relu(mean_square - tf.square(mean))
            return self.plate - tf.cast(mean, tf.float32), tf.cast(variance, tf.float32)

        parts = (neighbours.pair, self._with_depth(neighbours).shift, counts)
        return chunked_map(moments, parts, self._chunk(counts), (tf.float32, tf.float32))

    def blended_keys(self, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of normalised, moved keys, float32 ``[q, H, W]``, of mean 0."""
        shift = shift_index(neighbours.shift, self._radius)
        norms = tf.gather(tf.gather(self.norms, neighbours.pair), shift, batch_dims=2)
        scaled = tf.math.divide_no_nan(weights, norms)
        total = self._blended(self._keys, neighbours, scaled)
        return total - tf.reduce_mean(total, axis=[1, 2], keepdims=True)

    def _with_depth(self, neighbours: Neighbours) -> Neighbours:
        """Neighbours with the shifts of their depth values: none without ``move_depth``."""
        if self._move_depth:
            return neighbours
        none = tf.zeros_like(neighbours.shift)
        return neighbours._replace(shift=none, fraction=tf.zeros_like(neighbours.fraction))

    def _blended(
        self, pixels: tf.Variable, neighbours: Neighbours, weights: tf.Tensor
    ) -> tf.Tensor:
        def chunk_blended(
            pair: tf.Tensor, shift: tf.Tensor, weights: tf.Tensor
        ) -> tuple[tf.Tensor]:
            summed = blended(pixels, pair, shift, weights, self._radius, self.shape, self._edges)
            return (summed,)

        shift = tf.cast(neighbours.shift, tf.float32) + neighbours.fraction
        parts = (neighbours.pair, shift, weights)
        return chunked_map(chunk_blended, parts, self._chunk(weights), (tf.float32,))[0]

    def _chunk(self, per_neighbour: tf.Tensor) -> int:
        """Images at a time, given a tensor with a column for each of their neighbours."""
        return max(1, CHUNK_FLOATS // (per_neighbour.shape[1] * self._keys.shape[1]))

    def _moved(self, pixels: tf.Variable, neighbours: Neighbours) -> tf.Tensor:
        pair = tf.reshape(neighbours.pair, [-1, 1])
        shift = tf.reshape(neighbours.shift, [-1, 1, 2])
        one = tf.ones_like(pair, tf.float32)
        images = blended(pixels, pair, shift, one, self._radius, self.shape, self._edges)
        return tf.reshape(images, [-1, neighbours.pair.shape[1], *self.shape])


def flat_pixels(images: np.ndarray) -> np.ndarray:
    """Images ``[n, H, W]`` as ``[n, H·W]``, read from disk where they are memory-mapped."""
    return np.asarray(images).reshape(len(images), -1)
