"""Search for the stored rows of largest dot product, and the exact way to do it."""

import abc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.topk import top_k

EXACT_CELLS = 1 << 25
Found = tuple[tf.Tensor, tf.Tensor]


class Index(tf.Module, abc.ABC):
    """Stored rows and the search for those of largest dot product with a query."""

    @property
    @abc.abstractmethod
    def rows(self) -> tf.Variable:
        """The stored rows, float32 ``[m, d]``."""

    @classmethod
    @abc.abstractmethod
    def build(
        cls, rows: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "Index":
        """Index float32 rows ``[m, d]``; a sample of queries and a recall may tune the search."""

    @abc.abstractmethod
    def search(self, queries: tf.Tensor, k: int) -> Found:
        """The ``k`` stored rows of largest dot product with each query, best first.

        Args:
            queries: float32 ``[q, d]``; ``q`` may be 0.
            k: how many rows; where fewer are stored, fewer columns come back.

        Returns:
            Dot products float32 and row numbers int32, both ``[q, min(k, m)]``. A place that the
            search could not fill, or a query with NaN, has the dot product -inf and row 0.
        """

    @abc.abstractmethod
    def search_groups(self, queries: tf.Tensor, k: int, size: int, rows: int, least: int) -> Found:
        """The best row of each of the ``k`` groups whose best rows come first.

        Args:
            queries: float32 ``[q, d]``; ``q`` may be 0.
            k: how many groups, at most those stored.
            size: rows of a group, which stand side by side.
            rows: how many rows a search that knows no groups finds, to pick groups from; it may
                then lack some.
            least: groups that must not be lacking, at most ``k``.

        Returns:
            Dot products float32 and row numbers int32, both ``[q, k]``. A group that is lacking,
            or a query with NaN, has the dot product -inf.
        """

    def save(self, folder: Path) -> None:
        """Write the index into ``folder``; the rows as ``rows.npy``."""
        np.save(folder / "rows.npy", self.rows.numpy(), allow_pickle=False)

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: Path) -> "Index":
        """Read what `save` wrote."""


class ExactIndex(Index):
    """Every row compared with every query: `tf.matmul` and `tf.math.top_k`."""

    def __init__(self, rows: np.ndarray | tf.Variable) -> None:
        super().__init__(name="exact_index")
        shared = isinstance(rows, tf.Variable)
        self._rows = rows if shared else tf.Variable(rows, trainable=False, name="rows")

    @property
    def rows(self) -> tf.Variable:
        return self._rows

    @classmethod
    def build(
        cls, rows: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "ExactIndex":
        """Index float32 rows ``[m, d]``; the recall is 1 without tuning."""
        return cls(rows)

    def search(self, queries: tf.Tensor, k: int) -> Found:
        columns = min(k, self._rows.shape[0])

        def best(part: tf.Tensor) -> Found:
            return top_k(tf.matmul(part, self._rows, transpose_b=True), columns)

        return self._in_chunks(best, queries)

    def search_groups(self, queries: tf.Tensor, k: int, size: int, rows: int, least: int) -> Found:
        def best(part: tf.Tensor) -> Found:
            # With a query in each column: many rows times few columns is what kernels do best.
            products = tf.matmul(self._rows, part, transpose_b=True)
            count = tf.shape(part)[0]
            grouped = tf.reshape(products, [self._rows.shape[0] // size, size, count])
            product, group = tf.math.top_k(tf.transpose(tf.reduce_max(grouped, axis=1)), k)
            members = group[:, :, None] * size + tf.range(size)
            places = members * count + tf.range(count)[:, None, None]
            inside = tf.gather(tf.reshape(products, [-1]), places)
            return product, group * size + tf.argmax(inside, axis=2, output_type=tf.int32)

        return self._in_chunks(best, queries)

    def _in_chunks(self, best: Callable[[tf.Tensor], Found], queries: tf.Tensor) -> Found:
        """``best`` of some queries at a time, none of them with NaN."""

        def some(part: tf.Tensor) -> Found:
            finite = tf.reduce_all(tf.math.is_finite(part), axis=1, keepdims=True)
            product, row = best(tf.where(finite, part, 0.0))
            return tf.where(finite, product, -np.inf), tf.where(finite, row, 0)

        chunk = max(1, EXACT_CELLS // self._rows.shape[0])
        return chunked_map(some, (queries,), chunk, (tf.float32, tf.int32))

    @classmethod
    def load(cls, folder: Path) -> "ExactIndex":
        return cls(np.load(folder / "rows.npy", allow_pickle=False))
