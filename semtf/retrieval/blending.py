"""From the neighbours that a search finds to one depth map: which of them count, and how much."""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.config import RetrievalConfig, Weights
from semtf.retrieval.alignment import shift_index
from semtf.retrieval.chunked_map import chunked_map
from semtf.retrieval.embeddings import aligned_for_search, embeddings_per_pair
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.projection import normalise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.weighting import WeightFunction, weight_function

CHUNK_FLOATS = 1 << 22


@dataclass(frozen=True)
class Blending:
    """How the neighbours of an image are blended.

    Attributes:
        k: how many neighbours make an estimate.
        weights: how they are weighted, a name of `semtf.config.WEIGHTS`.
    """

    k: int
    weights: Weights

    @classmethod
    def of(
        cls, config: RetrievalConfig, k: int | None = None, weights: Weights | None = None
    ) -> "Blending":
        """The blending that a case's settings choose; what is given goes before them.

        Raises:
            InputError: there are no such weights.
        """
        name = weights or config.weights
        weight_function(name)
        return cls(k or config.neighbours, name)

    @property
    def single(self) -> bool:
        """Whether all the weight lies on one neighbour."""
        return weight_function(self.weights).single

    def num_candidates(self, config: RetrievalConfig) -> int:
        """How many neighbours to search for, to choose ``k`` of them."""
        chooses = weight_function(self.weights).coordinates
        return max(self.k, config.pool) if chooses else self.k


class Blended(NamedTuple):
    """Estimates of ``q`` images.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        neighbours: the ``k`` of each image that made the estimate.
        weights: float32 ``[q, k]``.
    """

    depth: tf.Tensor
    neighbours: Neighbours
    weights: tf.Tensor


@no_autograph
def blend(
    retriever: Retriever, images: tf.Tensor, candidates: Neighbours, blending: Blending
) -> Blended:
    """Depth of images from candidates that a search has found.

    The most similar candidates make the estimate. With weights from coordinates all candidates are
    weighted, those of the largest weights, positive or negative, are kept and weighted anew: from
    a large pool comes nearly the error of all of it at the cost of few.

    Args:
        retriever: of the images' case.
        images: ``[q, H, W]``, uint8 or float32, in any affine grey scale.
        candidates: `Blending.num_candidates` of each image; fewer are blended as they are.
        blending: how many of them count, and how much.
    """
    if weight_function(blending.weights).coordinates and candidates.pair.shape[1] > blending.k:
        size = tf.abs(neighbour_weights(retriever, images, candidates, blending.weights))
        heaviest = tf.math.top_k(size, blending.k, sorted=False).indices
        chosen = candidates.taken(tf.sort(heaviest))
    else:
        chosen = candidates.first(blending.k)
    weights = neighbour_weights(retriever, images, chosen, blending.weights)
    return Blended(retriever.pixels.blended_values(chosen, weights), chosen, weights)


@no_autograph
def neighbour_weights(
    retriever: Retriever, images: tf.Tensor, neighbours: Neighbours, weights: Weights
) -> tf.Tensor:
    """The weight of each neighbour, float32 ``[q, k]``; those of an image sum to 1.

    Raises:
        InputError: there are no such weights.
    """
    entry = weight_function(weights)
    if entry.coordinates:
        return _weights_from_coordinates(retriever, images, neighbours, entry)
    return entry.function(neighbours.similarity, **_parameter(entry, retriever.config))


def _weights_from_coordinates(
    retriever: Retriever, images: tf.Tensor, neighbours: Neighbours, entry: WeightFunction
) -> tf.Tensor:
    """Weights that follow from the coordinates of images and of their neighbours' keys."""
    config, coordinates = retriever.config, retriever.coordinates
    parameter = _parameter(entry, config)

    def weighted(queries: tf.Tensor, embedding: tf.Tensor, present: tf.Tensor) -> tuple[tf.Tensor]:
        keys = coordinates.of_embeddings(tf.gather(embeddings, embedding))
        return (entry.function(queries, keys, present=present, **parameter),)

    # Gathering from the variable itself would make TensorFlow copy all of it at every later
    # read, as the search reads it.
    embeddings = tf.convert_to_tensor(retriever.index.embeddings)
    embedding = neighbours.pair * embeddings_per_pair(config)
    if config.align == "shift":
        embedding += shift_index(neighbours.shift, config.shift)
    queries = coordinates.of_images(aligned_for_search(normalise(images), config))
    parts = (queries, embedding, neighbours.similarity > -float("inf"))
    chunk = max(1, CHUNK_FLOATS // (embedding.shape[1] * queries.shape[1]))
    return chunked_map(weighted, parts, chunk, (tf.float32,))[0]


def _parameter(entry: WeightFunction, config: RetrievalConfig) -> dict[str, float]:
    """The keyword that a weight function takes from the settings, where it takes one."""
    return {} if entry.parameter is None else {entry.parameter: getattr(config, entry.parameter)}


@no_autograph
def residual(
    retriever: Retriever, images: tf.Tensor, neighbours: Neighbours, weights: tf.Tensor
) -> tf.Tensor:
    """What the weighted keys leave of the normalised images, float32 ``[q, H, W]``."""
    return normalise(images) - retriever.pixels.blended_keys(neighbours, weights)
