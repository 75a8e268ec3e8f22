"""Estimators side by side: retrieval, regression, and their average, chosen without labels."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.config import Weights
from semtf.errors import InputError
from semtf.estimation.regression import Regression, RegressionFit
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.json_fields import parse_json
from semtf.noise.model import NoiseModel
from semtf.retrieval.blending import Blending
from semtf.retrieval.held_out import HeldOutQueries
from semtf.retrieval.retriever import Retriever

Depths = npt.NDArray[np.float32]
ESTIMATORS = "estimators.json"
MOST_SHARE = 0.5
"""Largest share of the regression.

Held-out queries are made of adapted keys, so they lack what the adaptation leaves undone, and that
misleads the regression more than the neighbours: it never counts more than this.
"""
SHARED_ERROR = 0.5
"""How much of what the estimators differ by more on fab images than on held-out queries correlates
with the retrieval's error; found on development fabs (docs/uncertainty.md)."""
AGREEMENT = 1.0
"""Spread in grey levels at which half of the regression's share counts: where all neighbours show
the same depth, retrieval is right, and a linear map is not."""
BATCH = 64
TINY = 1e-12


class Combined(NamedTuple):
    """Estimates ``[q, H, W]`` of both estimators together, grey levels.

    Attributes:
        depth: the average.
        spread: of the neighbours.
        difference: how far the estimators are apart.
    """

    depth: tf.Tensor
    spread: tf.Tensor
    difference: tf.Tensor


@dataclass(frozen=True)
class Average:
    """How a case's estimators are averaged.

    Attributes:
        regression: the second estimator.
        share: of the regression, from 0 to 1.
        blending: how neighbours are blended for the first; no other one was compared.
        rmse: by estimator, its error over held-out queries, in grey levels.
    """

    regression: Regression
    share: float
    blending: Blending
    rmse: dict[str, float]

    @property
    def name(self) -> str:
        """Which estimator this is: retrieval, average, or regression in runs of older versions."""
        return {0.0: "retrieval", 1.0: "regression"}.get(self.share, "average")

    def retrieval_alone(self) -> "Average":
        """The same without any share of the regression."""
        return dataclasses.replace(self, share=0.0)

    def holds_for(self, blending: Blending) -> bool:
        """Whether it was chosen for estimates that are blended so."""
        return blending == self.blending

    def combined(self, images: tf.Tensor, retrieved: tf.Tensor, spread: tf.Tensor) -> Combined:
        """Average both estimates of images ``[q, H, W]``."""
        return average(retrieved, spread, self.regression(images), self.share)

    def save(self, folder: Path) -> None:
        """Write ``estimators.json`` and the regression's files."""
        self.regression.save(folder)
        document = {
            "share": self.share,
            "weights": self.blending.weights,
            "neighbours": self.blending.k,
            "rmse": self.rmse,
        }
        text = json.dumps(document, indent=2) + "\n"
        (folder / ESTIMATORS).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, plate: int) -> "Average | None":
        """Read what `save` wrote; None where the run has retrieval alone."""
        regression = Regression.load(folder, plate)
        if regression is None:
            return None
        try:
            values = parse_json((folder / ESTIMATORS).read_text(encoding="utf-8"))
            blending = Blending(int(values["neighbours"]), Weights(values["weights"]))
            return cls(regression, float(values["share"]), blending, values["rmse"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / ESTIMATORS}: cannot be read ({error}); train again"
            ) from error


def average(
    retrieved: tf.Tensor, spread: tf.Tensor, regressed: tf.Tensor, share: float
) -> Combined:
    """Depth maps with a share of the regression, which falls to 0 where neighbours agree."""
    difference = regressed - retrieved
    square = tf.square(spread)
    depth = retrieved + share * square / (square + AGREEMENT**2) * difference
    return Combined(depth, spread, difference)


class Estimates:
    """What both estimators say of images ``[m, H, W]``.

    Attributes:
        retrieved, regressed: depth, float32.
        spread: of the neighbours, float32.
        similarity: of the most similar neighbour, float32 ``[m]``.
    """

    def __init__(
        self, retrieved: Depths, spread: Depths, similarity: Depths, regressed: Depths
    ) -> None:
        self.retrieved, self.spread, self.regressed = retrieved, spread, regressed
        self.similarity = similarity

    @classmethod
    def of(
        cls,
        retriever: Retriever,
        regression: Regression,
        blending: Blending,
        images: npt.NDArray[np.generic],
    ) -> "Estimates":
        """Estimate images of the fab, with all pairs for neighbours."""
        wanted = num_to_search(retriever, blending)
        parts = []
        for start in range(0, len(images), BATCH):
            batch = tf.constant(images[start : start + BATCH], tf.float32)
            candidates = retriever.search(batch, wanted)
            made = depth_and_spread(retriever, batch, candidates, blending)
            columns = (made.depth, made.spread, candidates.similarity[:, 0], regression(batch))
            parts.append([column.numpy() for column in columns])
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def combined(self, share: float) -> Combined:
        """Both estimators averaged."""
        return average(tf.constant(self.retrieved), tf.constant(self.spread), self.regressed, share)

    def difference(self) -> Depths:
        """How far the whole regression moves the retrieval's depth, float32 ``[m, H, W]``."""
        moved: Depths = self.combined(1.0).depth.numpy() - self.retrieved
        return moved


class HeldOutEstimates(Estimates):
    """Estimates of held-out queries ``[m, H, W]``, no query's own measurement known to either.

    Attributes:
        truth: the depth, float32.
        blending: how neighbours are blended.
    """

    def __init__(
        self, retriever: Retriever, queries: HeldOutQueries, fit: RegressionFit, penalty: float
    ) -> None:
        self.blending = Blending.of(retriever.config)
        wanted = num_to_search(retriever, self.blending)
        parts = []
        for batch in queries.batches():
            candidates = batch.neighbours(retriever, wanted)
            made = depth_and_spread(retriever, tf.constant(batch.images), candidates, self.blending)
            parts.append((made.depth.numpy(), made.spread.numpy(), candidates.similarity[:, 0]))
        retrieved, spread, similarity = map(np.concatenate, zip(*parts, strict=True))
        super().__init__(retrieved, spread, similarity, fit.held_out_depth(queries, penalty))
        self.truth = queries.true_depth(retriever)

    def rmse(self, share: float) -> float:
        """The error of an average, over all pixels."""
        depth = self.combined(share).depth.numpy()
        return float(np.sqrt(np.mean(np.square(depth - self.truth))))


def choose_average(
    retriever: Retriever,
    noise: NoiseModel,
    pairs: npt.NDArray[np.intp],
    images: npt.NDArray[np.uint8],
    seed: int,
) -> tuple[Average, HeldOutEstimates]:
    """Fit the regression, and choose its share on held-out queries and fab images.

    Args:
        retriever: of one case, tuned.
        noise: that of the fab.
        pairs: those that queries are made of.
        images: fab images of the case ``[n, H, W]``, without labels.
        seed: of the noise.

    Returns:
        The average, and both estimators' estimates of the queries.
    """
    queries = HeldOutQueries.make(retriever, noise, pairs, seed)
    fit = RegressionFit.of(retriever, noise, seed)
    penalty = fit.best_penalty(queries, queries.true_depth(retriever))
    estimates = HeldOutEstimates(retriever, queries, fit, penalty)
    regression = fit.solved(penalty)
    on_fab = Estimates.of(retriever, regression, estimates.blending, images)
    share = best_share(estimates, float(np.mean(np.square(on_fab.difference()))))
    rmse = {
        "retrieval": estimates.rmse(0.0),
        "regression": estimates.rmse(1.0),
        "average": estimates.rmse(share),
    }
    return Average(regression, share, estimates.blending, rmse), estimates


def best_share(estimates: HeldOutEstimates, on_fab: float) -> float:
    """The share of least expected error on fab images, up to `MOST_SHARE`.

    With the retrieval's error e and the estimators' difference d, weighted as in `average`, the
    mean square error is ``E(e²) + 2 s E(ed) + s² E(d²)``, least for ``s = −E(ed)/E(d²)``. Queries
    have both means. Fab images have ``E(d²)``; what it exceeds the queries' by is error that the
    queries lack, and `SHARED_ERROR` of it is taken for the rise of ``E(ed)``.

    Args:
        estimates: of the queries.
        on_fab: ``E(d²)`` of fab images, squared grey levels.
    """
    difference = estimates.difference()
    product = float(np.mean((estimates.retrieved - estimates.truth) * difference))
    square = float(np.mean(np.square(difference)))
    rise = SHARED_ERROR * max(on_fab - square, 0.0)
    return float(np.clip(-(product + rise) / max(on_fab, square, TINY), 0.0, MOST_SHARE))
