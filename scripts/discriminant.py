"""Linear discriminant analysis of images, and its logits added to those of a network."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

COMPONENTS = 100
Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


def discriminant(images: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], Floats]:
    """Fit on the principal components of images ``[n, H, W]``.

    Returns:
        From images to logits ``[n, classes]``, of normal classes with one covariance.
    """
    pixels = _pixels(images)
    mean = pixels.mean(axis=0)
    _, _, axes = np.linalg.svd(pixels - mean, full_matrices=False)
    axes = axes[:COMPONENTS].T
    scores = (pixels - mean) @ axes
    classes = labels.max() + 1
    centres = np.stack([scores[labels == label].mean(axis=0) for label in range(classes)])
    rest = scores - centres[labels]
    weights = np.linalg.solve(rest.T @ rest / (len(rest) - classes), centres.T)
    bias = -0.5 * np.einsum("ik,ki->i", centres, weights)
    return lambda others: (_pixels(others) - mean) @ axes @ weights + bias


def _pixels(images: np.ndarray) -> Floats:
    return images.reshape(len(images), -1).astype(np.float64)


def joined(logits: list[Floats], labels: np.ndarray) -> Floats:
    """The factors ``[m]`` with which logits of ``m`` classifiers add up to the likeliest labels.

    Args:
        logits: ``[n, classes]`` of each, of images that none of them was trained on.
        labels: ``[n]``.
    """

    def loss(logs: Floats) -> float:
        total = sum(factor * part for factor, part in zip(np.exp(logs), logits, strict=True))
        likelihood = log_softmax(total, axis=1)[np.arange(len(labels)), labels].sum()
        return float(np.sum(logs**2) / 2 - likelihood)

    factors: Floats = np.exp(minimize(loss, np.zeros(len(logits)), method="Nelder-Mead").x)
    return factors
