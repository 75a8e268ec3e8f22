"""Calibration of a classifier: temperature scaling, calibration error, threshold of doubt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

FOLDS = 5
"""Folds of held-out sites, over which a calibration is judged."""

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: one entry a bin of confidence, bins of equal width over [0, 1].

    ``confidence`` and ``accuracy`` are means over the images of a bin, NaN where it is empty;
    ``count`` is their number.
    """

    confidence: Floats
    accuracy: Floats
    count: Ints


def nll(logits: Floats, labels: Ints, temperature: float = 1.0) -> float:
    """Mean negative log likelihood of integer ``labels [n]`` under ``logits [n, c]``."""
    scaled = np.asarray(logits, np.float64) / temperature
    return float(-log_softmax(scaled, axis=1)[np.arange(len(labels)), labels].mean())


def fit_temperature(logits: Floats, labels: Ints, *, prior: float = 1.0) -> float:
    """The temperature under which held-out images are most likely.

    Args:
        logits: ``[n, c]``, of images that were not trained on.
        labels: ``[n]``, class index of each image.
        prior: standard deviation of a normal prior on the logarithm of the temperature.

    Returns:
        The temperature; 1 where there are no images or only one class.

    Notes:
        C. Guo et al., On Calibration of Modern Neural Networks, 2017. The likelihood alone has no
        maximum where every image is right: it grows without end as the temperature falls. The
        prior, centred at 1, keeps it finite there and weighs nothing beside many images.
    """
    if len(labels) == 0 or logits.shape[1] < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        likelihood = nll(logits, labels, float(np.exp(log_temperature)))
        return len(labels) * likelihood + log_temperature**2 / (2 * prior**2)

    minimum = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded")
    return float(np.exp(minimum.x))


def reliability(probabilities: Floats, labels: Ints, bins: int = 15) -> Reliability:
    """Accuracy against confidence, as a reliability diagram shows it.

    Args:
        probabilities: ``[n, c]``, each row summing to 1.
        labels: ``[n]``, class index of each image.
        bins: number of bins of equal width.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(index, weights=top, minlength=bins) / count
        accuracy = np.bincount(index, weights=right, minlength=bins) / count
    return Reliability(confidence, accuracy, count)


def expected_calibration_error(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Mean distance between accuracy and confidence over bins, weighted by their images.

    Arguments as in `reliability`. Source: M. Naeini et al., Obtaining Well Calibrated
    Probabilities Using Bayesian Binning, 2015.
    """
    if len(labels) == 0:
        return 0.0
    diagram = reliability(probabilities, labels, bins)
    gap = np.nan_to_num(np.abs(diagram.accuracy - diagram.confidence))
    return float((gap * diagram.count).sum() / diagram.count.sum())


def abstention_threshold(probabilities: Floats, labels: Ints, wrong: float = 1e-3) -> float:
    """The lowest confidence above which at most a share ``wrong`` of the images is wrong.

    Both the share that is wrong and the share that the probabilities expect to be wrong, the mean
    of one minus the confidence, must stay within it. The first alone says nothing where a small
    hold-out has no errors; the second alone trusts the calibration.

    Args:
        probabilities: calibrated, ``[n, c]``, of images that were not trained on.
        labels: ``[n]``, class index of each image.
        wrong: the largest accepted share of wrong images among those kept.

    Returns:
        A threshold t: keep an image where its highest probability is at least t. It is 0 where
        nothing needs to be left out, and above 1 where no part can be kept.
    """
    if len(labels) == 0:
        return 0.0
    top = probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(-top, kind="stable")
    top, error = top[order], (probabilities.argmax(axis=1) != labels)[order]
    kept = np.arange(1, len(top) + 1)
    share = np.maximum(np.cumsum(error), np.cumsum(1 - top)) / kept
    last_of_ties = np.append(np.diff(top) != 0, True)
    allowed = np.flatnonzero((share <= wrong) & last_of_ties)
    if len(allowed) == 0:
        # Above 1 in float32 too, in which the probabilities are compared with it.
        return float(np.nextafter(np.float32(1), np.float32(2)))
    if allowed[-1] == len(top) - 1:
        return 0.0
    return float(top[allowed[-1]])


def cross_calibrated(
    logits: Floats, labels: Ints, sites: NDArray[np.str_], wrong: float = 1e-3
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a calibration says of sites that it was not fitted to.

    Sites are dealt into up to `FOLDS` folds; the temperature and the threshold of a fold's images
    are fitted to the other folds.

    Args:
        logits: ``[n, c]``, of images that the classifier was not trained on.
        labels: ``[n]``, class index of each image.
        sites: ``[n]``, the site of each image.
        wrong: as in `abstention_threshold`.

    Returns:
        The probabilities ``[n, c]``, and whether each image's is at its threshold or above,
        ``[n]``. With a single site there is nothing to leave out, and it is fitted to itself.
    """
    names, index = np.unique(sites, return_inverse=True)
    fold = index % min(FOLDS, max(len(names), 1))
    probabilities = np.zeros(logits.shape, np.float32)
    kept = np.zeros(len(labels), bool)
    for k in np.unique(fold):
        out = fold == k
        fit = ~out if len(names) > 1 else out
        temperature = fit_temperature(logits[fit], labels[fit])
        fitted, probabilities[out] = (
            scaled_softmax(logits[part], temperature) for part in (fit, out)
        )
        threshold = abstention_threshold(fitted, labels[fit], wrong)
        kept[out] = probabilities[out].max(axis=1) >= threshold
    return probabilities, kept


def scaled_softmax(logits: Floats, temperature: float) -> NDArray[np.float32]:
    """Probabilities ``[n, c]`` of ``logits [n, c]`` at a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    probabilities: NDArray[np.float32] = softmax(scaled, axis=1).astype(np.float32)
    return probabilities
