"""Depth maps from a storage in parts: every part is searched, one place weighs what they find."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.estimation.estimator import Estimator
from semtf.estimation.graph import Estimate, at_least_two, case_shares, estimate
from semtf.estimation.loading import load_models
from semtf.estimation.storage_shards import (
    Pairs,
    StoragePart,
    head_run,
    pair_counts,
    part_folders,
)
from semtf.estimation.uncertainty import num_to_search
from semtf.retrieval.embeddings import embeddings_per_pair
from semtf.retrieval.index import Matches
from semtf.retrieval.merging import Found, merged
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import FoundRetriever, Retriever, SearchSize
from semtf.retrieval.storage import Storage


class Parts(Protocol):
    """The parts of a storage, wherever they are."""

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """What a method of `StoragePart` answers, for each part."""


class LocalParts:
    """All parts in this process.

    Args:
        folders: of the parts.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._parts = [StoragePart(folder) for folder in folders]

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        return [getattr(part, method)(*arguments) for part in self._parts]


class ShardedEstimator(Estimator):
    """An estimator whose pairs lie in parts; its results are those of the whole storage.

    Weights, intervals and averages are computed from the merged neighbours.

    Args:
        folder: what `semtf.estimation.storage_shards.shard_run` wrote.
        parts: its parts; all in this process where None.
    """

    def __init__(self, folder: Path, parts: Parts | None = None) -> None:
        super().__init__(load_models(head_run(folder)))
        self.parts = LocalParts(part_folders(folder)) if parts is None else parts
        self._counts = {case: sum(counts) for case, counts in pair_counts(folder).items()}
        self._names = {case: self._names_of(case) for case in self.models.retrievers}
        self._estimate = self._estimate_merged

    def _names_of(self, case: int) -> npt.NDArray[np.str_]:
        parts = self.parts.ask("names", case)
        positions = np.concatenate([position for position, _ in parts])
        return np.concatenate([names for _, names in parts])[np.argsort(positions)]

    def _pair_names(self) -> dict[int, npt.NDArray[np.str_]]:
        return self._names

    def _estimate_merged(self, images: tf.Tensor, probability: tf.Tensor) -> Estimate:
        """Estimates of images ``[q, H, W]``, from the pairs that all parts find for them."""
        shares = case_shares(probability, self.models)[0].numpy()
        retrievers = dict(self.models.retrievers)
        positions = {}
        for i, case in enumerate(self.models.cases):
            of_case = shares[:, i] > 0
            if case in retrievers and of_case.any():
                retrievers[case], positions[case] = self._found(case, images[of_case])
        models = dataclasses.replace(self.models, retrievers=retrievers)
        made = estimate(images, probability, models, self.blendings)
        pair = made.pair.numpy()
        for case, position in positions.items():
            rows = made.case.numpy() == case
            pair[rows] = np.where(pair[rows] >= 0, position[pair[rows]], -1)
        return made._replace(pair=tf.constant(pair))

    def _found(self, case: int, images: tf.Tensor) -> tuple[Retriever, npt.NDArray[np.int32]]:
        """A retriever of the pairs that the parts find for images, and their positions."""
        head = self.models.retrievers[case]
        wanted = num_to_search(head, self.blendings[case])
        size = SearchSize.of(head.config, self._counts[case], wanted)
        queries = head.queries(normalise(at_least_two(images))).numpy()
        found = merged(self.parts.ask("search", case, queries, size), size.wanted)
        answers = self.parts.ask("pairs", case, np.unique(found.pair))
        pairs = _joined([answer for answer in answers if answer is not None])
        retriever = _with_head(pairs, found, head)
        return retriever, pairs.position.astype(np.int32)


def _joined(parts: Sequence[Pairs]) -> Pairs:
    """Pairs of several parts, in the order of their positions."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0])
    return Pairs(*(column[order] for column in columns))


def _with_head(pairs: Pairs, found: Found, head: Retriever) -> Retriever:
    """A retriever of found pairs, behind which the head's pair stands for the plate's level."""
    group_size = embeddings_per_pair(head.config)
    row = np.searchsorted(pairs.position, found.pair)
    embedding = np.where(found.product > -np.inf, row * group_size + found.member, 0)
    extra = head.storage
    new = slice(0, int(extra.names[0] not in pairs.names))
    storage = Storage(
        np.concatenate([pairs.keys, extra.keys[new]]),
        np.concatenate([pairs.values, extra.values[new]]),
        np.concatenate([pairs.names, extra.names[new]]),
        extra.case,
    )
    embeddings = pairs.embeddings.reshape(-1, pairs.embeddings.shape[2])
    stood_in = head.index.embeddings.numpy()[: new.stop * group_size]
    return FoundRetriever.of(
        storage,
        np.concatenate([embeddings, stood_in]),
        np.concatenate([pairs.norms, head.pixels.norms.numpy()[new]]),
        Matches(tf.constant(found.product), tf.constant(embedding.astype(np.int32))),
        head,
    )
