"""Search for the embeddings of largest dot product with ScaNN."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.json_fields import parse_json
from semtf.retrieval.index import EMBEDDINGS, ExactIndex, Index, Matches
from semtf.retrieval.scann_operations import scann_operations
from semtf.retrieval.topk import first_of_groups

# Below this ScaNN's authors advise against hashing (which needs 16 embeddings at the least).
SMALLEST_HASHED = 20_000
RECALL_AT = 32
"""The recall is the share of this many best embeddings that are among the candidates."""
CANDIDATES = 128
# The tensors of ScaNN's state in ScaNN's order, without the embeddings, which come last.
STATE = (
    "scann_config",
    "serialized_partitioner",
    "datapoint_to_token",
    "ah_codebook",
    "hashed_dataset",
    "int8_dataset",
    "int8_multipliers",
    "dp_norms",
)


class Effort(NamedTuple):
    """How far ScaNN searches.

    Attributes:
        leaves: share of the tree's leaves that are searched.
        reorder: this many times `CANDIDATES` embeddings are compared exactly, however many are
            wanted: recall is about the best ones, and a longer list only adds worse ones.
    """

    leaves: float
    reorder: int


# In order of cost.
EFFORTS = (
    Effort(0.01, 2),
    Effort(0.02, 2),
    Effort(0.02, 4),
    Effort(0.05, 4),
    Effort(0.1, 4),
    Effort(0.2, 8),
    Effort(0.5, 16),
    Effort(1.0, 32),
)


class ScannIndex(Index):
    """ScaNN: a partitioning tree, hashing of the residuals and exact re-ordering.

    R. Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization",
    ICML 2020. Fewer than 20,000 embeddings are compared one by one, exactly.
    """

    def __init__(self, state: Any, effort: Effort = EFFORTS[3], name: str | None = None) -> None:
        """``state`` is ScaNN's; ``name`` is one that only an index of that content has."""
        super().__init__(name="scann_index")
        self._operations = scann_operations()
        self.state = state
        self.effort = effort
        self._shared_name = name or _content_name(state)

    @classmethod
    def of_tensors(cls, tensors: Sequence[tf.Tensor], effort: Effort = EFFORTS[3]) -> "ScannIndex":
        """The index of ScaNN's state as tensors, in the order of `STATE`, embeddings last."""
        return cls(scann_operations().ScannState(tensors), effort)

    @property
    def embeddings(self) -> tf.Variable:
        return self.state.dataset

    @classmethod
    def build(
        cls, embeddings: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "ScannIndex":
        """Index float32 embeddings ``[m, d]``; search as little as the recall allows.

        Args:
            embeddings: what is searched.
            sample: queries ``[q, d]`` of the kind that will come; without them the effort is the
                middle one.
            recall: wanted share of the `RECALL_AT` best embeddings among `CANDIDATES` found.
        """
        operations = scann_operations()
        builder = operations.builder(embeddings, 10, "dot_product")
        if len(embeddings) < SMALLEST_HASHED:
            builder = builder.score_brute_force()
        else:
            # k-means++ instead of the random start: ScaNN's random start cannot be seeded. No
            # anisotropic loss: the embedding has weighted its dimensions by the queries already.
            leaves = _leaves(len(embeddings))
            builder = builder.tree(leaves, leaves, random_init=False)
            builder = builder.score_ah(2, anisotropic_quantization_threshold=float("nan"))
            builder = builder.reorder(10)
        tensors = operations.scann_to_tensors(builder.build().searcher_handle)
        index = cls.of_tensors([_defined(tensor) for tensor in tensors])
        return index if sample is None else index.tuned(sample, recall)

    @property
    def hashed(self) -> bool:
        """Whether the search is approximate."""
        return self.embeddings.shape[0] >= SMALLEST_HASHED

    def search(self, queries: tf.Tensor, k: int) -> Matches:
        return self._search_leaves(queries, k, self.effort.leaves)

    def _search_leaves(self, queries: tf.Tensor, k: int, share: float) -> Matches:
        """`search` in a share of the tree's leaves."""
        size = self.embeddings.shape[0]
        columns = min(k, size)
        # An empty batch is an error in ScaNN, so one more query goes along and is cut off.
        padded = tf.pad(queries, [[0, 1], [0, 0]])
        embedding, product = self._searcher().search_batched_parallel(
            padded,
            final_num_neighbors=columns,
            pre_reorder_num_neighbors=min(max(self.effort.reorder * CANDIDATES, columns), size),
            leaves_to_search=math.ceil(share * _leaves(size)),
        )
        # ScaNN gives fewer columns where the leaves hold fewer embeddings, and does not tell the
        # shape of its results.
        lacking = [[0, 0], [0, columns - tf.shape(product)[1]]]
        shape = [queries.shape[0], columns]
        embedding = tf.ensure_shape(tf.pad(embedding[:-1], lacking), shape)
        product = tf.pad(product[:-1], lacking, constant_values=np.nan)
        product = tf.ensure_shape(product, shape)
        missing = tf.math.is_nan(product)
        return Matches(tf.where(missing, -np.inf, product), tf.where(missing, 0, embedding))

    def search_groups(
        self, queries: tf.Tensor, k: int, group_size: int, num_candidates: int, min_groups: int
    ) -> Matches:
        if not self.hashed:
            exact = ExactIndex(self.embeddings)
            return exact.search_groups(queries, k, group_size, num_candidates, min_groups)

        def best(candidates: int, leaves: float) -> Matches:
            return self._best_of_groups(queries, k, group_size, candidates, leaves)

        matches = best(num_candidates, self.effort.leaves)
        # The embeddings of one group resemble one another. In the worst case the best groups come
        # with all their embeddings; so many candidates then hold k groups, unless the leaves that
        # are searched hold too few embeddings. All leaves hold enough.
        for leaves in (self.effort.leaves, 1.0):
            matches = _completed(matches, min_groups, partial(best, group_size * k, leaves))
        return matches

    def _best_of_groups(
        self, queries: tf.Tensor, k: int, group_size: int, num_candidates: int, leaves: float
    ) -> Matches:
        """The best embedding of each of the first ``k`` groups among the candidates."""
        candidates = self._search_leaves(queries, num_candidates, leaves)
        first, present = first_of_groups(candidates.embedding // group_size, candidates.product, k)
        product, embedding = (tf.gather(part, first, batch_dims=1) for part in candidates)
        return Matches(tf.where(present, product, -np.inf), embedding)

    def tuned(self, sample: np.ndarray, recall: float) -> "ScannIndex":
        """This index with the least effort that finds the recall's share of the best embeddings.

        Args:
            sample: queries, float32 ``[q, d]``.
            recall: wanted share of their `RECALL_AT` best embeddings among `CANDIDATES` found.
        """
        if not self.hashed:
            return self
        queries = tf.constant(sample)
        exact = ExactIndex(self.embeddings).search(queries, RECALL_AT).embedding.numpy()
        for effort in EFFORTS:
            index = ScannIndex(self.state, effort, self._shared_name)
            approximate = index.search(queries, CANDIDATES).embedding.numpy()
            hits = [np.isin(e, a).mean() for e, a in zip(exact, approximate, strict=True)]
            if np.mean(hits) >= recall:
                break
        return index

    def _searcher(self) -> Any:
        # Without a name that is its content's alone, the searchers of several indexes in one
        # reloaded SavedModel replace each other.
        state = [getattr(self.state, name) for name in STATE]
        handle = self._operations.tensors_to_scann(
            self.embeddings, *state, shared_name=self._shared_name
        )
        return self._operations.ScannSearcher(handle)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "scann").mkdir(exist_ok=True)
        for name in STATE:
            value = getattr(self.state, name).numpy()
            if getattr(self.state, name).dtype == tf.string:
                (folder / "scann" / f"{name}.bin").write_bytes(_bytes(value))
            else:
                np.save(folder / "scann" / f"{name}.npy", value, allow_pickle=False)
        text = json.dumps(self.effort._asdict()) + "\n"
        (folder / "scann" / "effort.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ScannIndex":
        """Read what `save` wrote; builds the index where the folder holds an exact one."""
        embeddings = np.load(folder / EMBEDDINGS, allow_pickle=False)
        if not (folder / "scann").is_dir():
            return cls.build(embeddings)
        tensors = [_read(folder / "scann", name) for name in STATE]
        effort = parse_json((folder / "scann" / "effort.json").read_text(encoding="utf-8"))
        return cls.of_tensors([*tensors, tf.constant(embeddings)], Effort(**effort))


def _completed(matches: Matches, least: int, search: Callable[[], Matches]) -> Matches:
    """Matches of which queries with fewer than ``least`` are searched for again.

    A query without any match holds NaN; it stays without.
    """
    count = tf.reduce_sum(tf.cast(matches.product > -np.inf, tf.int32), axis=1)
    lacking = ((count > 0) & (count < least))[:, None]

    def replaced() -> Matches:
        again = search()
        return Matches(*(tf.where(lacking, *both) for both in zip(again, matches, strict=True)))

    return tf.cond(tf.reduce_any(lacking), replaced, lambda: matches)


def _leaves(embeddings: int) -> int:
    """Leaves of the tree over so many embeddings: their root, as ScaNN's authors advise."""
    return round(embeddings**0.5)


def _content_name(state: tf.Module) -> str:
    """A name that only an index of the same content has."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (*STATE, "dataset"):
        variable = getattr(state, name)
        value = variable.numpy()
        digest.update(_bytes(value) if variable.dtype == tf.string else value.tobytes())
    return f"scann-{digest.hexdigest()}"


def _defined(tensor: tf.Tensor) -> tf.Tensor:
    """A tensor of ScaNN's state; the numbers of absent ones are whatever was in memory."""
    absent = tensor.shape.rank == 0 and tensor.dtype != tf.string
    return tf.zeros_like(tensor) if absent else tensor


def _read(folder: Path, name: str) -> tf.Tensor:
    """A tensor of ScaNN's state; ScaNN marks an absent one by an empty shape."""
    if (folder / f"{name}.npy").is_file():
        return tf.constant(np.load(folder / f"{name}.npy", allow_pickle=False))
    content = (folder / f"{name}.bin").read_bytes()
    return tf.constant([content] if content else b"", tf.string)


def _bytes(value: np.ndarray | bytes) -> bytes:
    return value if isinstance(value, bytes) else bytes(value[0])
