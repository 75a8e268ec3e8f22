"""Search for the stored rows of largest dot product with ScaNN."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval.embeddings import distinct
from semtf.retrieval.index import ExactIndex, Found, Index

# Below this ScaNN's authors advise against hashing (which needs 16 rows at the least).
SMALLEST_HASHED = 20_000
RECALL_AT = 32
CANDIDATES = 128


# The order of the tensors in ScaNN's state, the rows left out.
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
        leaves: share of the leaves that are looked into.
        reorder: how many times `CANDIDATES` rows are compared exactly, however many are wanted:
            recall is about the best ones, and a longer list only adds worse ones behind them.
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
    ICML 2020. Fewer than 20,000 rows are compared one by one, exactly.
    """

    def __init__(self, tensors: Sequence[tf.Tensor], effort: Effort = EFFORTS[3]) -> None:
        super().__init__(name="scann_index")
        self._ops = _scann_ops()
        self.state = self._ops.ScannState(tensors)
        self.effort = effort
        self._shared_name = _content_name(self.state)

    @property
    def rows(self) -> tf.Variable:
        return self.state.dataset

    @classmethod
    def build(
        cls, rows: np.ndarray, sample: np.ndarray | None = None, recall: float = 0.99
    ) -> "ScannIndex":
        """Index float32 rows ``[m, d]``; search as little as the recall on a sample allows.

        Args:
            rows: what is searched.
            sample: queries ``[q, d]`` of the kind that will come; without them the effort is the
                middle one.
            recall: wanted share of the `RECALL_AT` best rows among `CANDIDATES` found.
        """
        ops = _scann_ops()
        builder = ops.builder(rows, 10, "dot_product")
        if len(rows) < SMALLEST_HASHED:
            builder = builder.score_brute_force()
        else:
            # k-means++ instead of the random start: ScaNN's random start cannot be seeded. No
            # anisotropic loss: the embedding has weighted its dimensions by the queries already.
            leaves = _leaves(len(rows))
            builder = builder.tree(leaves, leaves, random_init=False)
            builder = builder.score_ah(2, anisotropic_quantization_threshold=float("nan"))
            builder = builder.reorder(10)
        index = cls(ops.scann_to_tensors(builder.build().searcher_handle))
        if sample is not None:
            index.tune(sample, recall)
        return index

    @property
    def hashed(self) -> bool:
        """Whether the search is approximate."""
        return self.rows.shape[0] >= SMALLEST_HASHED

    def search(self, queries: tf.Tensor, k: int) -> Found:
        stored = self.rows.shape[0]
        columns = min(k, stored)
        # An empty batch is an error in ScaNN, so one more query goes along and is cut off.
        padded = tf.pad(queries, [[0, 1], [0, 0]])
        row, product = self._searcher().search_batched_parallel(
            padded,
            final_num_neighbors=columns,
            pre_reorder_num_neighbors=min(max(self.effort.reorder * CANDIDATES, columns), stored),
            leaves_to_search=math.ceil(self.effort.leaves * _leaves(stored)),
        )
        # ScaNN's operation does not tell the shape of its results.
        row = tf.ensure_shape(row[:-1], [queries.shape[0], columns])
        product = tf.ensure_shape(product[:-1], [queries.shape[0], columns])
        missing = tf.math.is_nan(product)
        return tf.where(missing, -np.inf, product), tf.where(missing, 0, row)

    def search_groups(self, queries: tf.Tensor, k: int, size: int, rows: int, least: int) -> Found:
        if not self.hashed:
            return ExactIndex(self.rows).search_groups(queries, k, size, rows, least)
        product, row = self._groups(queries, k, size, rows)
        count = tf.reduce_sum(tf.cast(product > -np.inf, tf.int32), axis=1)
        lacking = ((count > 0) & (count < least))[:, None]

        def completed() -> Found:
            # Rows of one group may be neighbours too: in the worst case they fill all the places.
            again = self._groups(queries, k, size, size * k)
            return tf.where(lacking, again[0], product), tf.where(lacking, again[1], row)

        return tf.cond(tf.reduce_any(lacking), completed, lambda: (product, row))

    def _groups(self, queries: tf.Tensor, k: int, size: int, rows: int) -> Found:
        """The groups among the best rows."""
        product, row = self.search(queries, rows)
        place, found = distinct(row // size, product, k)
        product, row = (tf.gather(part, place, batch_dims=1) for part in (product, row))
        return tf.where(found, product, -np.inf), row

    def tune(self, sample: np.ndarray, recall: float) -> None:
        """Set the least effort that finds this share of a sample's best rows."""
        if not self.hashed:
            return
        exact = ExactIndex(self.rows).search(tf.constant(sample), RECALL_AT)[1].numpy()
        for effort in EFFORTS:
            self.effort = effort
            found = self.search(tf.constant(sample), CANDIDATES)[1].numpy()
            hits = [np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]
            if np.mean(hits) >= recall:
                break

    def _searcher(self) -> Any:
        # Without a name of its own, the searchers of several indexes in one reloaded SavedModel
        # take each other's place.
        state = [getattr(self.state, name) for name in STATE]
        handle = self._ops.tensors_to_scann(self.rows, *state, shared_name=self._shared_name)
        return self._ops.ScannSearcher(handle)

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
        """Read what `save` wrote; builds the index where the rows were indexed exactly."""
        rows = np.load(folder / "rows.npy", allow_pickle=False)
        if not (folder / "scann").is_dir():
            return cls.build(rows)
        tensors = [_read(folder / "scann", name) for name in STATE]
        effort = json.loads((folder / "scann" / "effort.json").read_text(encoding="utf-8"))
        return cls([*tensors, tf.constant(rows)], Effort(**effort))


def _leaves(rows: int) -> int:
    return round(rows**0.5)


def _scann_ops() -> Any:
    """ScaNN's TensorFlow operations; raises InputError where they do not load."""
    try:
        from scann.scann_ops.py import scann_ops
    except (ImportError, tf.errors.NotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"ScaNN cannot be loaded beside TensorFlow {tf.__version__} ({reason}); "
            "use --index exact, or install the versions that docs/install.md names"
        ) from error
    return scann_ops


def _content_name(state: tf.Module) -> str:
    """A name that only an index of the same content has."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (*STATE, "dataset"):
        variable = getattr(state, name)
        value = variable.numpy()
        digest.update(_bytes(value) if variable.dtype == tf.string else value.tobytes())
    return f"scann-{digest.hexdigest()}"


def _read(folder: Path, name: str) -> tf.Tensor:
    """A tensor of ScaNN's state; ScaNN marks an absent one by an empty shape."""
    if (folder / f"{name}.npy").is_file():
        return tf.constant(np.load(folder / f"{name}.npy", allow_pickle=False))
    content = (folder / f"{name}.bin").read_bytes()
    return tf.constant([content] if content else b"", tf.string)


def _bytes(value: np.ndarray | bytes) -> bytes:
    return value if isinstance(value, bytes) else bytes(value[0])
