"""The search of a storage: from SEM images to their most similar pairs, as one graph of
TensorFlow operations, for Python and for the exported model alike.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.config import Align, RetrievalConfig
from semtf.errors import InputError
from semtf.retrieval.coordinates import Coordinates
from semtf.retrieval.embeddings import (
    aligned_for_search,
    embeddings_and_norms,
    embeddings_per_pair,
    sample_queries,
)
from semtf.retrieval.index import ExactIndex, Index, Matches
from semtf.retrieval.index_kind import index_class
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.pixels import Pixels
from semtf.retrieval.projection import PCA, normalise
from semtf.retrieval.scann_index import ScannIndex
from semtf.retrieval.shifts import shifts
from semtf.retrieval.storage import Storage

CANDIDATES_PER_PAIR = 4
"""Embeddings to search for, for each pair that is wanted: several may belong to one pair."""


class SearchSize(NamedTuple):
    """How much is searched for ``k`` pairs of an image.

    Attributes:
        k: pairs that come back, at most those of the storage.
        wanted: pairs that the index finds.
        compared: how many of them are compared on all pixels.
        num_candidates: embeddings that an approximate index finds.
        min_groups: pairs that it must find; a large pool may lack a few.
    """

    k: int
    wanted: int
    compared: int
    num_candidates: int
    min_groups: int

    @classmethod
    def of(cls, config: RetrievalConfig, pairs: int, k: int) -> "SearchSize":
        """The sizes for a storage of so many pairs."""
        k = min(k, pairs)
        wanted = min(max(k, config.rerank), pairs)
        compared = wanted if config.align == "centre" else min(config.rerank, wanted)
        num_candidates = max(config.candidates, CANDIDATES_PER_PAIR * wanted)
        return cls(k, wanted, compared, num_candidates, max(min(k, compared), k // 2))


class Retriever(tf.Module):
    """What the search of one case's storage needs, and the search.

    The search works eagerly and inside a ``tf.function``; the arrays are ``tf.Variable``s. A
    retriever does not change: methods that tune or extend give a new one, which shares what stays.

    Attributes:
        storage: the pairs of the case.
        config: shifts, index and weights.
        pca: the projection onto embeddings.
        index: the embeddings and their search.
        pixels: keys and values.
        coordinates: what reconstruction compares images and keys by.
        shape: ``(H, W)`` of an image.
    """

    def __init__(
        self,
        storage: Storage,
        config: RetrievalConfig,
        pca: PCA,
        index: Index,
        pixels: Pixels,
        coordinates: Coordinates,
    ) -> None:
        super().__init__(name="retriever")
        self.storage = storage
        self.config = config
        self.pca = pca
        self.index = index
        self.pixels = pixels
        self.coordinates = coordinates
        self.shape = pixels.shape
        self._shifts = tf.constant(shifts(config.shift))

    @classmethod
    def build(cls, storage: Storage, config: RetrievalConfig, seed: int) -> "Retriever":
        """Fit the projection, embed every key in every shift, and build the index.

        Args:
            storage: the pairs of one case.
            config: shift radius, dimensions, kind of index, candidates and weights.
            seed: picks the sample that the projection is fitted on.
        """
        pca = PCA.fit(storage.keys, config.shift, config.dimensions, seed)
        embeddings, norms = embeddings_and_norms(storage.keys, config, pca)
        index = build_index(embeddings, storage, config, pca, seed)
        return cls(storage, config, pca, index, Pixels(storage, config, norms), Coordinates(pca))

    def extended(self, storage: Storage, seed: int) -> "Retriever":
        """A retriever of a storage to which pairs were added behind the present ones.

        The projection and the pixel weights stay; only the new pairs are projected.
        """
        new_keys = storage.keys[len(self.storage) :]
        embeddings, norms = embeddings_and_norms(new_keys, self.config, self.pca)
        embeddings = np.concatenate([self.index.embeddings.numpy(), embeddings])
        norms = np.concatenate([self.pixels.norms.numpy(), norms])
        index = build_index(embeddings, storage, self.config, self.pca, seed)
        pixels = Pixels(storage, self.config, norms)
        return Retriever(storage, self.config, self.pca, index, pixels, self.coordinates)

    def with_alignment(self, align: Align, seed: int) -> "Retriever":
        """This retriever with keys and images aligned in another way, the index built anew."""
        config = dataclasses.replace(self.config, align=align)
        embeddings, _ = embeddings_and_norms(self.storage.keys, config, self.pca)
        index = build_index(embeddings, self.storage, config, self.pca, seed)
        return self._with(config=config, index=index)

    def with_recall(self, recall: float, seed: int) -> "Retriever":
        """This retriever with the least search effort that reaches a recall.

        Args:
            recall: share of the best embeddings that the index must find.
            seed: picks the sample of queries that the recall is measured on.

        Raises:
            InputError: the index is exact and has no effort to choose.
        """
        if not isinstance(self.index, ScannIndex):
            raise InputError("--recall: the exact index finds all; use --index scann")
        queries = sample_queries(self.storage.keys, self.config, self.pca, seed)
        config = dataclasses.replace(self.config, recall=recall)
        return self._with(config=config, index=self.index.tuned(queries, recall))

    def with_settings(self, **fields: Any) -> "Retriever":
        """This retriever with fields of its config replaced that search and weights read."""
        return self._with(config=dataclasses.replace(self.config, **fields))

    def with_pixel_weights(self, pixel_weights: np.ndarray) -> "Retriever":
        """This retriever with pixels that count by positive weights, float32 ``[H·W]``."""
        return self._with(coordinates=Coordinates(self.pca, pixel_weights))

    def with_values(self, values: np.ndarray) -> "Retriever":
        """This retriever with other depth maps for the same keys, uint8 ``[n, H, W]``."""
        storage = dataclasses.replace(self.storage, values=values)
        pixels = Pixels(storage, self.config, self.pixels.norms.numpy())
        return Retriever(storage, self.config, self.pca, self.index, pixels, self.coordinates)

    def _with(
        self,
        config: RetrievalConfig | None = None,
        index: Index | None = None,
        coordinates: Coordinates | None = None,
    ) -> "Retriever":
        return Retriever(
            self.storage,
            config or self.config,
            self.pca,
            index or self.index,
            self.pixels,
            coordinates or self.coordinates,
        )

    @no_autograph
    def search(self, images: tf.Tensor, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each image.

        The first ``config.rerank`` are compared on all pixels; those behind them have the order,
        shift and similarity of the index. With centred keys all are compared.

        Args:
            images: ``[q, H, W]``, uint8 or float32, in any affine grey scale.
            k: pairs to return; fewer columns come back where the storage holds fewer.

        Raises:
            InputError: the images have another shape, rows and columns exchanged for example.
        """
        shape = tuple(images.shape)
        if len(shape) != 3 or any(
            side not in (None, own) for side, own in zip(shape[1:], self.shape, strict=True)
        ):
            raise InputError(
                f"images of shape {list(shape)}: this storage is searched with [q, "
                f"{self.shape[0]}, {self.shape[1]}] (rows, columns)"
            )
        images = normalise(images)
        config = self.config
        size = SearchSize.of(config, len(self.storage), k)
        k, compared = size.k, size.compared
        group_size = embeddings_per_pair(config)
        similarity, embedding = self._search_index(images, size)
        pair, present = embedding // group_size, similarity > -np.inf
        first = self.pixels.most_similar(
            images, pair[:, :compared], present[:, :compared], min(k, compared)
        )
        if k <= compared:
            return first
        rest = slice(compared, k)
        shift = tf.gather(self._shifts, embedding[:, rest] % group_size)
        fraction = tf.zeros_like(shift, tf.float32)
        return first.joined(Neighbours(pair[:, rest], shift, similarity[:, rest], fraction))

    def queries(self, images: tf.Tensor) -> tf.Tensor:
        """What the index is searched with for normalised images, float32 ``[q, d]``."""
        return self.pca.embed_queries(aligned_for_search(images, self.config))

    def _search_index(self, images: tf.Tensor, size: SearchSize) -> Matches:
        """The best embedding of each pair that the index finds for normalised images."""
        return self.index.search_groups(
            self.queries(images),
            size.wanted,
            embeddings_per_pair(self.config),
            size.num_candidates,
            size.min_groups,
        )


class FoundRetriever(Retriever):
    """A retriever of pairs that a search of other storages has found already.

    Attributes:
        matches: what was found for the images that it is searched with.
    """

    matches: Matches

    @classmethod
    def of(
        cls,
        storage: Storage,
        embeddings: np.ndarray,
        norms: np.ndarray,
        matches: Matches,
        like: Retriever,
    ) -> "FoundRetriever":
        """Of found pairs, their embeddings and norms; projection and settings are another's."""
        pixels = Pixels(storage, like.config, norms)
        index = ExactIndex(embeddings)
        retriever = cls(storage, like.config, like.pca, index, pixels, like.coordinates)
        retriever.matches = matches
        return retriever

    def _search_index(self, images: tf.Tensor, size: SearchSize) -> Matches:
        return self.matches


def build_index(
    embeddings: np.ndarray, storage: Storage, config: RetrievalConfig, pca: PCA, seed: int
) -> Index:
    """Index the embeddings of a storage's pairs; the seed picks the queries that tune it."""
    sample = sample_queries(storage.keys, config, pca, seed)
    return index_class(config.index).build(embeddings, sample, config.recall)
