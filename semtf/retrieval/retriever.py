"""From SEM images to their most similar stored pairs and to depth: one graph of TensorFlow
operations, for Python and for the exported model alike.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.config import Align, RetrievalConfig, Weights
from semtf.errors import InputError
from semtf.retrieval import weighting
from semtf.retrieval.alignment import shift_number
from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.coordinates import Coordinates
from semtf.retrieval.embedding import PCA, normalise, shifts
from semtf.retrieval.embeddings import embeddings_and_norms, placed, query_sample
from semtf.retrieval.index import ExactIndex, Index
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.pixels import Pixels
from semtf.retrieval.scann_index import ScannIndex
from semtf.retrieval.storage import Storage

CHUNK_FLOATS = 1 << 22
ROWS_A_PAIR = 4
INDEXES: dict[str, type[Index]] = {"exact": ExactIndex, "scann": ScannIndex}


class Retriever(tf.Module):
    """Search of the storage of one case, and the blending of what it finds.

    Every method works eagerly and inside a ``tf.function``; the arrays are ``tf.Variable``s.

    Attributes:
        config: shifts, index and weights; `semtf.retrieval.tuning` may replace it.
        pixels: keys and values.
        coordinates: where reconstruction compares keys and images.
    """

    def __init__(
        self,
        storage: Storage,
        config: RetrievalConfig,
        pca: PCA,
        index: Index,
        norms: np.ndarray,
        pixel_weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="retriever")
        self.storage = storage
        self.config = config
        self.pca = pca
        self.index = index
        self.pixels = Pixels(storage, config, norms)
        self.shape = self.pixels.shape
        if pixel_weights is None:
            pixel_weights = np.ones(pca.components.shape[0], np.float32)
        self.coordinates = Coordinates(pca, pixel_weights)
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
        rows, norms = embeddings_and_norms(storage.keys, config, pca)
        index = INDEXES[config.index].build(
            rows, query_sample(storage.keys, config, pca, seed), config.recall
        )
        return cls(storage, config, pca, index, norms)

    def extended(self, storage: Storage, seed: int) -> "Retriever":
        """A retriever of a storage to which pairs were added behind the present ones.

        The projection and the pixel weights stay; only the new pairs are projected.
        """
        new = storage.keys[len(self.storage) :]
        rows, norms = embeddings_and_norms(new, self.config, self.pca)
        rows = np.concatenate([self.index.rows.numpy(), rows])
        norms = np.concatenate([self.pixels.norms.numpy(), norms])
        sample = query_sample(storage.keys, self.config, self.pca, seed)
        index = INDEXES[self.config.index].build(rows, sample, self.config.recall)
        weights = self.coordinates.pixel_weights.numpy()
        return Retriever(storage, self.config, self.pca, index, norms, weights)

    def aligned(self, align: Align, seed: int) -> "Retriever":
        """The same storage, projection and weights with keys aligned in another way."""
        config = dataclasses.replace(self.config, align=align)
        other = self._indexed(self.storage, config, self.pca, seed)
        other.coordinates.weigh(self.coordinates.pixel_weights.numpy())
        return other

    def tune_index(self, recall: float, seed: int) -> None:
        """Search as little as finds this share of the best rows; raises where that is exact."""
        if not isinstance(self.index, ScannIndex):
            raise InputError("--recall: the exact index finds all; use --index scann")
        self.index.tune(query_sample(self.storage.keys, self.config, self.pca, seed), recall)
        self.config = dataclasses.replace(self.config, recall=recall)

    def save(self, folder: str | Path) -> None:
        """Write ``retrieval.json`` and ``.npy`` files; ScaNN's state goes into ``scann/``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.pca.save(folder)
        self.index.save(folder)
        np.save(folder / "lengths.npy", self.pixels.norms.numpy(), allow_pickle=False)
        weights = self.coordinates.pixel_weights.numpy()
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
            norms = np.load(folder / "lengths.npy", allow_pickle=False)
            weights = np.load(folder / "pixel_weights.npy", allow_pickle=False)
            kind = index or config.index
            built = INDEXES[kind].load(folder)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{folder}: not a retrieval folder ({error}); train the run again"
            ) from error
        if len(norms) != len(storage):
            raise InputError(
                f"{folder}: built on {len(norms)} pairs, but the storage holds {len(storage)}; "
                "build the index again"
            )
        config = dataclasses.replace(config, index=kind)
        return cls(storage, config, pca, built, norms, weights)

    @no_autograph
    def search(self, images: tf.Tensor, k: int) -> Neighbours:
        """The ``k`` most similar pairs of each image.

        The first ``config.rerank`` are compared on all pixels; those behind them have the order,
        shift and similarity of the index. With centred keys all are compared.

        Args:
            images: ``[q, H, W]``, uint8 or float32, in any affine grey scale.
            k: pairs to return; fewer columns come back where fewer are stored.
        """
        images = normalise(images)
        stored = len(self.storage)
        k = min(k, stored)
        wanted = min(max(k, self.config.rerank), stored)
        compared = wanted if self.config.align == "centre" else min(self.config.rerank, wanted)
        rows = max(self.config.candidates, ROWS_A_PAIR * wanted)
        queries = self.pca.queries(placed(images, self.config))
        # A large pool may lack some of its pairs.
        least = max(min(k, compared), k // 2)
        similarity, row = self.index.search_groups(queries, wanted, self._rows_a_pair, rows, least)
        pair, found = row // self._rows_a_pair, similarity > -np.inf
        first = self.pixels.compared(
            images, pair[:, :compared], found[:, :compared], min(k, compared)
        )
        if k <= compared:
            return first
        rest = slice(compared, k)
        shift = tf.gather(self._shifts, row[:, rest] % self._rows_a_pair)
        fraction = tf.zeros_like(shift, tf.float32)
        return first.joined(Neighbours(pair[:, rest], shift, similarity[:, rest], fraction))

    @property
    def _rows_a_pair(self) -> int:
        return 1 if self.config.align == "centre" else (2 * self.config.shift + 1) ** 2

    @no_autograph
    def depth(
        self, images: tf.Tensor, k: int, weights: Weights
    ) -> tuple[tf.Tensor, Neighbours, tf.Tensor]:
        """Depth of images from stored pairs.

        Args:
            images: ``[q, H, W]`` as in `search`.
            k: number of pairs.
            weights: how they are weighted; ``"nearest"`` uses the first only.

        Returns:
            Depth in grey levels float32 ``[q, H, W]``, the neighbours, their weights ``[q, k]``.
        """
        found = self.search(images, self.pool(k, weights))
        neighbours, weight = self.weighted(images, found, k, weights)
        return self.pixels.blend(neighbours, weight), neighbours, weight

    def pool(self, k: int, weights: Weights) -> int:
        """How many pairs to search for, to make an estimate of ``k``."""
        return max(k, self.config.pool) if weights == "reconstruction" else k

    @no_autograph
    def weighted(
        self, images: tf.Tensor, found: Neighbours, k: int, weights: Weights
    ) -> tuple[Neighbours, tf.Tensor]:
        """The ``k`` neighbours that make an estimate, and their weights ``[q, k]``.

        They are the most similar ones. Reconstruction weights all that were found, keeps those of
        the largest weights, positive or negative, and weights them anew: from a large pool comes
        nearly the error of all of it at the cost of few.
        """
        if weights != "reconstruction" or found.pair.shape[1] <= k:
            found = found.first(k)
            return found, self.weights(images, found, weights)
        size = tf.abs(self.weights(images, found, weights))
        place = tf.sort(tf.math.top_k(size, k, sorted=False).indices)
        kept = Neighbours(*(tf.gather(part, place, batch_dims=1) for part in found))
        return kept, self.weights(images, kept, weights)

    @no_autograph
    def weights(self, images: tf.Tensor, neighbours: Neighbours, weights: Weights) -> tf.Tensor:
        """The weights ``[q, k]`` of all of some neighbours."""
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

    @no_autograph
    def residual(self, images: tf.Tensor, neighbours: Neighbours, weights: tf.Tensor) -> tf.Tensor:
        """What the weighted keys leave of the normalised images, float32 ``[q, H, W]``."""
        return normalise(images) - self.pixels.rebuilt(neighbours, weights)

    def _reconstruction(self, images: tf.Tensor, neighbours: Neighbours) -> tf.Tensor:
        """Weights that rebuild the coordinates of images from those of their neighbours."""

        def some(queries: tf.Tensor, row: tf.Tensor, present: tf.Tensor) -> tuple[tf.Tensor]:
            keys = self.coordinates.of_rows(tf.gather(rows, row))
            return (weighting.reconstruction(queries, keys, self.config.ridge, present),)

        # Gathering from the variable itself would make TensorFlow copy all of it at every later
        # read, as the search reads it.
        rows = tf.convert_to_tensor(self.index.rows)
        row = neighbours.pair * self._rows_a_pair
        if self.config.align == "shift":
            row += shift_number(neighbours.shift, self.config.shift)
        queries = self.coordinates.of_images(placed(normalise(images), self.config))
        parts = (queries, row, neighbours.similarity > -np.inf)
        chunk = max(1, CHUNK_FLOATS // (row.shape[1] * queries.shape[1]))
        return chunked_map(some, parts, chunk, (tf.float32,))[0]
