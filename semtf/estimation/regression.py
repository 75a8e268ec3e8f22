"""The second estimator: a ridge regression from an image's principal components to its depth.

It is trained on adapted keys with the fab's noise, so it knows what the noise looks like; the
neighbours of an image know what a hole looks like. Their average is better than either.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.errors import InputError
from semtf.noise.model import NoiseModel
from semtf.retrieval.held_out import HeldOutQueries
from semtf.retrieval.projection import PCA, normalise
from semtf.retrieval.retriever import Retriever

COMPONENTS = "regression_components.npy"
COEFFICIENTS = "regression.npy"
DIMENSIONS = 128
IMAGES = 12_000
"""Noisy keys to train on; of few pairs several each."""
COPIES = 16
CHUNK = 1024
FOLDS = 5
PENALTIES = (3e-5, 1e-4, 1e-3, 1e-2)
"""Ridges that are tried, in units of the strongest component's variance.

Held-out queries are made of adapted keys, which they resemble more than the fab's images do: they
would choose smaller ones yet, with which the regression errs more on fab images.
"""


class Regression(tf.Module):
    """Depth maps that are linear in an image's principal components, never above the plate."""

    def __init__(
        self,
        components: npt.NDArray[np.float32],
        coefficients: npt.NDArray[np.float32],
        plate: int,
    ) -> None:
        """``components`` ``[H·W, d]``; ``coefficients`` ``[d + 1, H·W]``, from components and 1 to
        grey levels below the plate."""
        super().__init__(name="regression")
        self.components = tf.Variable(components, trainable=False, name="components")
        self.coefficients = tf.Variable(coefficients, trainable=False, name="coefficients")
        self.plate = plate

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Depth of images ``[q, H, W]`` in any affine grey scale, float32 grey levels."""
        flat = tf.reshape(normalise(images), [-1, self.components.shape[0]])
        features = tf.matmul(flat, self.components)
        below = tf.matmul(features, self.coefficients[:-1]) + self.coefficients[-1]
        return float(self.plate) - tf.nn.relu(tf.reshape(below, tf.shape(images)))

    def save(self, folder: Path) -> None:
        """Write ``regression_components.npy`` and ``regression.npy``."""
        np.save(folder / COMPONENTS, self.components.numpy(), allow_pickle=False)
        np.save(folder / COEFFICIENTS, self.coefficients.numpy(), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, plate: int) -> "Regression | None":
        """Read what `save` wrote; None where the run was made without a regression."""
        if not (folder / COEFFICIENTS).exists():
            return None
        try:
            components, coefficients = (
                np.load(folder / name, allow_pickle=False) for name in (COMPONENTS, COEFFICIENTS)
            )
        except (OSError, EOFError, ValueError) as error:
            raise InputError(
                f"{folder / COEFFICIENTS}: cannot be read ({error}); train again"
            ) from error
        return cls(components, coefficients, plate)


@dataclass(frozen=True)
class RegressionFit:
    """The normal equations of a regression, by fold of the measurements.

    Attributes:
        components: ``[H·W, d]``.
        moments: ``[folds, d + 1, d + 1]``.
        products: ``[folds, d + 1, H·W]``, with grey levels below the plate.
        fold: of each pair ``[n]``; pairs of one measurement share it.
        plate: grey level of the plate.
    """

    components: npt.NDArray[np.float32]
    moments: npt.NDArray[np.float64]
    products: npt.NDArray[np.float64]
    fold: npt.NDArray[np.intp]
    plate: int

    @classmethod
    def of(cls, retriever: Retriever, noise: NoiseModel, seed: int) -> "RegressionFit":
        """Collect what all pairs with the fab's noise say."""
        storage, config = retriever.storage, retriever.config
        dimensions = min(DIMENSIONS, len(storage))
        components = PCA.fit(storage.keys, config.shift, dimensions, seed).components.numpy()
        generator = np.random.default_rng(seed)
        measurement, _ = storage.measurements
        fold = generator.permutation(measurement.max() + 1)[measurement] % FOLDS
        copies = int(np.clip(IMAGES // len(storage), 1, COPIES))
        size = components.shape[1] + 1
        moments = np.zeros((FOLDS, size, size))
        products = np.zeros((FOLDS, size, components.shape[0]))
        for number in range(FOLDS):
            pairs = np.flatnonzero(fold == number)
            for start in range(0, len(pairs), CHUNK):
                chosen = pairs[start : start + CHUNK]
                keys = np.asarray(storage.keys[chosen])
                values = np.asarray(storage.values[chosen]).reshape(len(chosen), -1)
                below = (retriever.pixels.plate - values.astype(np.float32)).astype(np.float64)
                for _ in range(copies):
                    features = _features(noise.added(keys, generator), components)
                    moments[number] += features.T @ features
                    products[number] += features.T @ below
        return cls(components, moments, products, fold, retriever.pixels.plate)

    def solved(self, penalty: float, without: int | None = None) -> Regression:
        """The regression of a ridge; ``without`` leaves a fold out."""
        used = [number for number in range(len(self.moments)) if number != without]
        moment, product = self.moments[used].sum(axis=0), self.products[used].sum(axis=0)
        # The constant is not penalised.
        ridge = penalty * np.diag(moment)[:-1].max() * np.append(np.ones(len(moment) - 1), 1e-6)
        coefficients = np.linalg.solve(moment + np.diag(ridge), product)
        return Regression(self.components, coefficients.astype(np.float32), self.plate)

    def held_out_depth(self, queries: HeldOutQueries, penalty: float) -> npt.NDArray[np.float32]:
        """Depth of queries by the regression without the fold of each one's pair."""
        depth = np.empty(queries.images.shape, np.float32)
        for number in range(len(self.moments)):
            inside = self.fold[queries.pair] == number
            if inside.any():
                depth[inside] = self.solved(penalty, number)(tf.constant(queries.images[inside]))
        return depth

    def best_penalty(self, queries: HeldOutQueries, truth: npt.NDArray[np.float32]) -> float:
        """The ridge of the least error over queries of known depth."""
        errors = {
            penalty: float(np.mean(np.square(self.held_out_depth(queries, penalty) - truth)))
            for penalty in PENALTIES
        }
        return min(errors, key=lambda penalty: errors[penalty])


def _features(
    images: npt.NDArray[np.float32], components: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Components and 1 of images, ``[n, d + 1]``."""
    flat = normalise(images).numpy().reshape(len(images), -1)
    ones = np.ones((len(images), 1))
    return np.concatenate([flat @ components, ones], axis=1).astype(np.float64)
