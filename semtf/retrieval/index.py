"""Search for the stored rows of largest dot product: exact, or with ScaNN."""

import abc
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from semtf.errors import InputError
from semtf.retrieval.chunks import in_chunks

# Below this ScaNN's authors advise against hashing (which needs 16 rows at the least).
SMALLEST_HASHED = 20_000
EXACT_CELLS = 1 << 24


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


class Index(tf.Module, abc.ABC):
    """Stored rows and the search for those of largest dot product with a query."""

    @property
    @abc.abstractmethod
    def rows(self) -> tf.Variable:
        """The stored rows, float32 ``[m, d]``."""

    @classmethod
    @abc.abstractmethod
    def build(cls, rows: np.ndarray) -> "Index":
        """Index float32 rows ``[m, d]``."""

    @abc.abstractmethod
    def search(self, queries: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The ``k`` stored rows of largest dot product with each query, best first.

        Args:
            queries: float32 ``[q, d]``; ``q`` may be 0.
            k: how many rows; where fewer are stored, fewer columns come back.

        Returns:
            Dot products float32 and row numbers int32, both ``[q, min(k, m)]``. A place that the
            search could not fill, or a query with NaN, has the dot product -inf and row 0.
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

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__(name="exact_index")
        self._rows = tf.Variable(rows, trainable=False, name="rows")

    @property
    def rows(self) -> tf.Variable:
        return self._rows

    @classmethod
    def build(cls, rows: np.ndarray) -> "ExactIndex":
        return cls(rows)

    def search(self, queries: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        stored = self._rows.shape[0]
        columns = min(k, stored)

        def some(part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            products = tf.matmul(part, self._rows, transpose_b=True)
            products = tf.where(tf.math.is_nan(products), -np.inf, products)
            best, row = tf.math.top_k(products, columns)
            return best, tf.where(best == -np.inf, 0, row)

        return in_chunks(some, (queries,), max(1, EXACT_CELLS // stored), (tf.float32, tf.int32))

    @classmethod
    def load(cls, folder: Path) -> "ExactIndex":
        return cls(np.load(folder / "rows.npy", allow_pickle=False))


class ScannIndex(Index):
    """ScaNN: a partitioning tree, anisotropic hashing and exact re-ordering.

    R. Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization",
    ICML 2020. Fewer than 20,000 rows are compared one by one, exactly.
    """

    def __init__(self, tensors: list[tf.Tensor]) -> None:
        super().__init__(name="scann_index")
        self._ops = _scann_ops()
        self.state = self._ops.ScannState(tensors)
        self._shared_name = _content_name(tensors)

    @property
    def rows(self) -> tf.Variable:
        return self.state.dataset

    @classmethod
    def build(cls, rows: np.ndarray) -> "ScannIndex":
        ops = _scann_ops()
        builder = ops.builder(rows, 10, "dot_product")
        if len(rows) < SMALLEST_HASHED:
            builder = builder.score_brute_force()
        else:
            # k-means++ instead of the random start: ScaNN's random start cannot be seeded.
            leaves, searched = tree_size(len(rows))
            builder = builder.tree(leaves, searched, random_init=False)
            builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
            builder = builder.reorder(10)
        searcher = builder.build()
        return cls(list(ops.scann_to_tensors(searcher.searcher_handle)))

    def search(self, queries: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        stored = self.state.dataset.shape[0]
        columns = min(k, stored)
        # An empty batch is an error in ScaNN, so one more query goes along and is cut off.
        padded = tf.pad(queries, [[0, 1], [0, 0]])
        row, product = self._searcher().search_batched_parallel(
            padded, final_num_neighbors=columns, pre_reorder_num_neighbors=columns
        )
        # ScaNN's operation does not tell the shape of its results.
        row = tf.ensure_shape(row[:-1], [queries.shape[0], columns])
        product = tf.ensure_shape(product[:-1], [queries.shape[0], columns])
        missing = tf.math.is_nan(product)
        return tf.where(missing, -np.inf, product), tf.where(missing, 0, row)

    def _searcher(self) -> Any:
        # Without a name of its own, the searchers of several indexes in one reloaded SavedModel
        # take each other's place.
        state = [getattr(self.state, name) for name in STATE]
        handle = self._ops.tensors_to_scann(
            self.state.dataset, *state, shared_name=self._shared_name
        )
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

    @classmethod
    def load(cls, folder: Path) -> "ScannIndex":
        rows = np.load(folder / "rows.npy", allow_pickle=False)
        values = {p.stem: _read(p) for p in (folder / "scann").iterdir()}
        return cls([values.get(name) for name in STATE] + [rows])


def tree_size(rows: int) -> tuple[int, int]:
    """Leaves of the partitioning tree and how many of them are searched."""
    leaves = max(16, round(rows**0.5))
    return leaves, max(8, round(0.05 * leaves))


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


def _content_name(tensors: list[tf.Tensor]) -> str:
    """A name that only an index of the same content has."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return f"scann-{digest.hexdigest()}"


def _read(path: Path) -> tf.Tensor:
    """A tensor of ScaNN's state; ScaNN marks an absent one by an empty shape."""
    if path.suffix == ".npy":
        return tf.constant(np.load(path, allow_pickle=False))
    content = path.read_bytes()
    return tf.constant([content] if content else b"", tf.string)


def _bytes(value: np.ndarray | bytes) -> bytes:
    return value if isinstance(value, bytes) else bytes(value[0])
