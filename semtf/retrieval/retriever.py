"""From SEM images to their most similar stored pairs and to depth: one graph of TensorFlow
operations, for Python and for the exported model alike.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from semtf.config import RetrievalConfig, Weights
from semtf.errors import InputError
from semtf.retrieval import weighting
from semtf.retrieval.alignment import blended, moved, shift_number
from semtf.retrieval.chunks import in_chunks
from semtf.retrieval.embedding import PCA, back_projected, normalise, shifts
from semtf.retrieval.index import ExactIndex, Index, ScannIndex
from semtf.retrieval.rows import distinct, flat, placed, rows_and_lengths
from semtf.retrieval.storage import Storage

# No AutoGraph: nothing in here is Python control flow on tensors.
as_written = tf.autograph.experimental.do_not_convert
RERANK_FLOATS = 1 << 22
ROWS_A_PAIR = 4
TUNING_SAMPLE = 256
INDEXES: dict[str, type[Index]] = {"exact": ExactIndex, "scann": ScannIndex}


class Neighbours(NamedTuple):
    """The most similar pairs of each image, best first.

    Attributes:
        pair: int32 ``[q, k]``, the place in the storage; a pair occurs once in a row.
        shift: int32 ``[q, k, 2]``, pixels (rows, columns) that align the key with the image.
        similarity: float32 ``[q, k]``, cosine of the z-scored pixels of the image and the
            shifted key; -inf where the search found fewer pairs than ``k``.
    """

    pair: tf.Tensor
    shift: tf.Tensor
    similarity: tf.Tensor


class Retriever(tf.Module):
    """Search of the storage of one case, and the blending of what it finds.

    Every method works eagerly and inside a ``tf.function``; the arrays are ``tf.Variable``s.

    Attributes:
        config: shifts, index and weights; `semtf.retrieval.tuning` may replace it.
        lengths: float32 ``[n, S]``, length of each key in each shift, its mean taken off.
        pixel_weights: float32 ``[H·W]``, how much each pixel counts in reconstruction.
    """

    def __init__(
        self,
        storage: Storage,
        config: RetrievalConfig,
        pca: PCA,
        index: Index,
        lengths: np.ndarray,
        pixel_weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="retriever")
        self.storage = storage
        self.config = config
        self.pca = pca
        self.index = index
        self.shape = storage.keys.shape[1:]
        with tf.device("CPU"):
            self._keys = tf.Variable(flat(storage.keys), trainable=False, name="keys")
            self._values = tf.Variable(flat(storage.values), trainable=False, name="values")
        self.lengths = tf.Variable(lengths, trainable=False, name="lengths")
        if pixel_weights is None:
            pixel_weights = np.ones(self._keys.shape[1], np.float32)
        self.pixel_weights = tf.Variable(pixel_weights, trainable=False, name="pixel_weights")
        self._shifts = tf.constant(shifts(config.shift))

    @classmethod
    def build(cls, storage: Storage, config: RetrievalConfig, seed: int) -> "Retriever":
        """Fit the PCA, make every key in every shift a row, and build the index.

        Args:
            storage: the pairs of one case.
            config: shift radius, dimensions, kind of index, candidates and weights.
            seed: picks the sample that the PCA is fitted on.
        """
        pca = PCA.fit(storage.keys, config.shift, config.dimensions, seed)
        return cls._indexed(storage, config, pca, seed)

    @classmethod
    def _indexed(
        cls, storage: Storage, config: RetrievalConfig, pca: PCA, seed: int
    ) -> "Retriever":
        rows, lengths = rows_and_lengths(storage.keys, config, pca)
        chosen = np.random.default_rng(seed).permutation(len(storage))[:TUNING_SAMPLE]
        images = normalise(tf.constant(storage.keys[np.sort(chosen)]))
        sample = pca.queries(placed(images, config)).numpy()
        index = INDEXES[config.index].build(rows, sample, config.recall)
        return cls(storage, config, pca, index, lengths)

    def extended(self, storage: Storage, seed: int) -> "Retriever":
        """A retriever of a storage to which pairs were added; the fitted PCA is kept."""
        return self._indexed(storage, self.config, self.pca, seed)

    def save(self, folder: str | Path) -> None:
        """Write ``retrieval.json`` and ``.npy`` files; ScaNN's state goes into ``scann/``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.pca.save(folder)
        self.index.save(folder)
        np.save(folder / "lengths.npy", self.lengths.numpy(), allow_pickle=False)
        weights = self.pixel_weights.numpy()
        np.save(folder / "pixel_weights.npy", weights, allow_pickle=False)
        text = json.dumps(dataclasses.asdict(self.config), indent=2)
        (folder / "retrieval.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls,
        folder: str | Path,
        storage: Storage,
        index: Literal["scann", "exact"] | None = None,
    ) -> "Retriever":
        """Read what `save` wrote.

        Args:
            folder: where `save` wrote.
            storage: the storage it was built on.
            index: the kind of index to search with; None for the kind it was built with.

        Raises:
            InputError: the folder is none, it does not fit the storage, or ScaNN cannot load.
        """
        folder = Path(folder)
        try:
            config = RetrievalConfig(**json.loads((folder / "retrieval.json").read_text("utf-8")))
            pca = PCA.load(folder)
            lengths = np.load(folder / "lengths.npy", allow_pickle=False)
            weights = np.load(folder / "pixel_weights.npy", allow_pickle=False)
            kind = index or config.index
            built = INDEXES[kind].load(folder)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{folder}: not a retrieval folder ({error}); train the run again"
            ) from error
        if len(lengths) != len(storage):
            raise InputError(
                f"{folder}: built on {len(lengths)} pairs, but the storage holds {len(storage)}; "
                "build the index again"
            )
        config = dataclasses.replace(config, index=kind)
        return cls(storage, config, pca, built, lengths, weights)

    @as_written
    def search(self, images: tf.Tensor, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each image.

        Args:
            images: ``[q, H, W]``, uint8 or float32, in any affine grey scale.
            k: pairs to return; fewer columns come back where fewer are stored.
        """
        images = normalise(images)
        stored = len(self.storage)
        k = min(k, stored)
        wanted = min(max(k, self.config.rerank), stored)
        rows = max(self.config.candidates, ROWS_A_PAIR * wanted)
        queries = self.pca.queries(placed(images, self.config))
        pair, found = self._candidates(queries, rows, wanted)
        count = tf.reduce_sum(tf.cast(found, tf.int32), axis=1)
        # The shifts of one pair are neighbours too: in the worst case they fill all the rows.
        pair, found = tf.cond(
            tf.reduce_any((count > 0) & (count < k)),
            lambda: self._candidates(queries, self._rows_a_pair * wanted, wanted),
            lambda: (pair, found),
        )
        return self._rerank(images, pair, found, k)

    @property
    def _rows_a_pair(self) -> int:
        return 1 if self.config.align == "centre" else (2 * self.config.shift + 1) ** 2

    def _candidates(
        self, queries: tf.Tensor, rows: int, wanted: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The ``wanted`` different pairs of the best ``rows`` rows, and which were found."""
        similarity, row = self.index.search(queries, rows)
        return distinct(row // self._rows_a_pair, similarity, wanted)

    def _rerank(self, images: tf.Tensor, pair: tf.Tensor, found: tf.Tensor, k: int) -> Neighbours:
        """Compare candidates on all pixels and in every shift; keep the ``k`` best pairs."""

        def some(images: tf.Tensor, pair: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, ...]:
            keys = tf.cast(tf.gather(self._keys, pair), tf.float32)
            views = back_projected(images, self.config.shift)
            views = tf.reshape(views, [-1, views.shape[1], keys.shape[2]])
            cosine = tf.matmul(keys, views, transpose_b=True)
            cosine = tf.math.divide_no_nan(cosine, tf.gather(self.lengths, pair))
            best = tf.where(found, tf.reduce_max(cosine, axis=2), -np.inf)
            similarity, place = tf.math.top_k(best, k)
            shift = tf.gather(self._shifts, tf.argmax(cosine, axis=2))
            return (
                tf.gather(pair, place, batch_dims=1),
                tf.gather(shift, place, batch_dims=1),
                similarity,
            )

        chunk = max(1, RERANK_FLOATS // (pair.shape[1] * self._keys.shape[1]))
        types = (tf.int32, tf.int32, tf.float32)
        return Neighbours(*in_chunks(some, (images, pair, found), chunk, types))

    @as_written
    def keys(self, neighbours: Neighbours) -> tf.Tensor:
        """The keys of neighbours moved with their shift, float32 ``[q, k, H, W]``."""
        return self._moved(self._keys, neighbours)

    @as_written
    def values(self, neighbours: Neighbours) -> tf.Tensor:
        """The depth values of neighbours moved with their shift, float32 ``[q, k, H, W]``."""
        return self._moved(self._values, neighbours)

    @as_written
    def depth(
        self, images: tf.Tensor, k: int, weights: Weights
    ) -> tuple[tf.Tensor, Neighbours, tf.Tensor]:
        """Depth of images from their ``k`` most similar pairs.

        Args:
            images: ``[q, H, W]`` as in `search`.
            k: number of pairs.
            weights: how they are weighted; ``"nearest"`` uses the first only.

        Returns:
            Depth in grey levels float32 ``[q, H, W]``, the neighbours, their weights ``[q, k]``.
        """
        neighbours = self.search(images, k)
        weight = self.weights(images, neighbours, weights)
        return self.blend(neighbours, weight), neighbours, weight

    @as_written
    def weights(self, images: tf.Tensor, neighbours: Neighbours, weights: Weights) -> tf.Tensor:
        """The weights ``[q, k]`` of neighbours that `search` found for images."""
        if weights == "reconstruction":
            return self._reconstruction(images, neighbours)
        functions = {
            "nearest": weighting.nearest,
            "uniform": weighting.uniform,
            "softmax": lambda similarity: weighting.softmax(similarity, self.config.temperature),
            "inverse": weighting.inverse_distance,
            "kernel": weighting.gaussian_kernel,
        }
        if weights not in functions:
            raise InputError(
                f"--weights {weights}: no such weights; choose one of {', '.join(functions)}, "
                "reconstruction"
            )
        return functions[weights](neighbours.similarity)

    @as_written
    def blend(self, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the shifted depth values, float32 ``[q, H, W]``."""
        return self._blended(self._values, neighbours.pair, neighbours.shift, weights)

    @as_written
    def residual(self, images: tf.Tensor, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """What the weighted keys leave of the normalised images, float32 ``[q, H, W]``."""
        number = shift_number(neighbours.shift, self.config.shift)
        lengths = tf.gather(tf.gather(self.lengths, neighbours.pair), number, batch_dims=2)
        scaled = tf.math.divide_no_nan(weights, lengths)
        rebuilt = self._blended(self._keys, neighbours.pair, neighbours.shift, scaled)
        rebuilt -= tf.reduce_mean(rebuilt, axis=[1, 2], keepdims=True)
        return normalise(images) - rebuilt

    def _blended(
        self, stored: tf.Variable, pair: tf.Tensor, shift: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        def some(pair: tf.Tensor, shift: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor]:
            return (blended(stored, pair, shift, weights, self.config.shift, self.shape),)

        return in_chunks(some, (pair, shift, weights), self._chunk(weights), (tf.float32,))[0]

    def _reconstruction(self, images: tf.Tensor, neighbours: Neighbours) -> tf.Tensor:
        def some(images: tf.Tensor, *parts: tf.Tensor) -> tuple[tf.Tensor]:
            found = Neighbours(*parts)
            k = found.pair.shape[1]
            keys = tf.reshape(self.keys(found), [-1, *self.shape])
            keys = tf.reshape(normalise(keys), [-1, k, self._keys.shape[1]])
            queries = tf.reshape(images, [-1, self._keys.shape[1]])
            present = found.similarity > -np.inf
            ridge = self.config.ridge
            return (weighting.reconstruction(queries, keys, ridge, self.pixel_weights, present),)

        parts = (normalise(images), *neighbours)
        return in_chunks(some, parts, self._chunk(neighbours.pair), (tf.float32,))[0]

    def _chunk(self, per_neighbour: tf.Tensor) -> int:
        return max(1, RERANK_FLOATS // (per_neighbour.shape[1] * self._keys.shape[1]))

    def _moved(self, stored: tf.Variable, neighbours: Neighbours) -> tf.Tensor:
        radius = self.config.shift
        images = moved(stored, neighbours.pair, neighbours.shift, radius, self.shape)
        return tf.cast(images, tf.float32)
