"""Search for the embeddings of largest dot product, and the exact way to do it."""

import abc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.topk import top_k

EXACT_CELLS = 1 << 25
"""Dot products that the exact search holds at a time."""
EMBEDDINGS = "rows.npy"


class Matches(NamedTuple):
    """The embeddings that a search finds for each query, best first.

    Attributes:
        product: float32 ``[q, k]``, dot product with the query; -inf where nothing was found.
        embedding: int32 ``[q, k]``, index of the embedding.
    """

    product: tf.Tensor
    embedding: tf.Tensor


class Index(tf.Module, abc.ABC):
    """Embeddings and the search for those of largest dot product with a query."""

    @property
    @abc.abstractmethod
    def embeddings(self) -> tf.Variable:
        """What is searched, float32 ``[m, d]``."""

    @classmethod
    @abc.abstractmethod
    def build(
        cls, embeddings: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "Index":
        """Index float32 embeddings ``[m, d]``; sample queries and a recall may tune the search."""

    @abc.abstractmethod
    def search(self, queries: tf.Tensor, k: int) -> Matches:
        """The ``k`` embeddings of largest dot product with each query.

        Args:
            queries: float32 ``[q, d]``; ``q`` may be 0.
            k: how many; where the index holds fewer, fewer columns come back.

        Returns:
            ``[q, min(k, m)]``. An entry that the search could not fill, or that belongs to a query
            with NaN, has the dot product -inf and the embedding 0.
        """

    @abc.abstractmethod
    def search_groups(
        self, queries: tf.Tensor, k: int, group_size: int, num_candidates: int, min_groups: int
    ) -> Matches:
        """The best embedding of each of the ``k`` groups whose best embeddings come first.

        Args:
            queries: float32 ``[q, d]``; ``q`` may be 0.
            k: how many groups, at most those that the index holds.
            group_size: embeddings of a group, which stand side by side.
            num_candidates: how many embeddings a search that knows no groups finds, to pick
                groups from, at least ``k``; it may then lack some.
            min_groups: groups that must not be lacking, at most ``k``.

        Returns:
            ``[q, k]``. A group that is lacking, or a query with NaN, has the dot product -inf.
        """

    def save(self, folder: Path) -> None:
        """Write the index into ``folder``; the embeddings as ``rows.npy``."""
        np.save(folder / EMBEDDINGS, self.embeddings.numpy(), allow_pickle=False)

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: Path) -> "Index":
        """Read what `save` wrote."""


class ExactIndex(Index):
    """Every embedding compared with every query: `tf.matmul` and `tf.math.top_k`."""

    def __init__(self, embeddings: np.ndarray | tf.Variable) -> None:
        """A ``tf.Variable`` is shared, an array becomes one."""
        super().__init__(name="exact_index")
        if not isinstance(embeddings, tf.Variable):
            embeddings = tf.Variable(embeddings, trainable=False, name="embeddings")
        self._embeddings = embeddings

    @property
    def embeddings(self) -> tf.Variable:
        return self._embeddings

    @classmethod
    def build(
        cls, embeddings: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "ExactIndex":
        """Index float32 embeddings ``[m, d]``; the recall is 1 without tuning."""
        return cls(embeddings)

    def search(self, queries: tf.Tensor, k: int) -> Matches:
        columns = min(k, self._embeddings.shape[0])

        def best(queries: tf.Tensor) -> Matches:
            products = tf.matmul(queries, self._embeddings, transpose_b=True)
            return Matches(*top_k(products, columns))

        return self._chunked(best, queries)

    def search_groups(
        self, queries: tf.Tensor, k: int, group_size: int, num_candidates: int, min_groups: int
    ) -> Matches:
        groups = self._embeddings.shape[0] // group_size

        def best(queries: tf.Tensor) -> Matches:
            # With a query in each column: many rows times few columns is what kernels do best.
            products = tf.matmul(self._embeddings, queries, transpose_b=True)
            count = tf.shape(queries)[0]
            by_group = tf.reshape(products, [groups, group_size, count])
            product, group = tf.math.top_k(tf.transpose(tf.reduce_max(by_group, axis=1)), k)
            members = group[:, :, None] * group_size + tf.range(group_size)
            positions = members * count + tf.range(count)[:, None, None]
            member_products = tf.gather(tf.reshape(products, [-1]), positions)
            member = tf.argmax(member_products, axis=2, output_type=tf.int32)
            return Matches(product, group * group_size + member)

        return self._chunked(best, queries)

    def _chunked(self, best: Callable[[tf.Tensor], Matches], queries: tf.Tensor) -> Matches:
        """``best`` of a few queries at a time, of which none that it sees holds NaN."""

        def chunk_of_matches(queries: tf.Tensor) -> Matches:
            finite = tf.reduce_all(tf.math.is_finite(queries), axis=1, keepdims=True)
            product, embedding = best(tf.where(finite, queries, 0.0))
            return Matches(tf.where(finite, product, -np.inf), tf.where(finite, embedding, 0))

        chunk = max(1, EXACT_CELLS // self._embeddings.shape[0])
        parts = chunked_map(chunk_of_matches, (queries,), chunk, (tf.float32, tf.int32))
        return Matches(*parts)

    @classmethod
    def load(cls, folder: Path) -> "ExactIndex":
        return cls(np.load(folder / EMBEDDINGS, allow_pickle=False))
