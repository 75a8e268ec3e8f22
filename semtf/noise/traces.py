"""Traces: what the noise of images leaves in a residual, as squares and products, image by image.

Products of second order of independent noises add up, so that the sizes of all kinds follow from
one linear system (`semtf.noise.fit`).
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Fields = npt.NDArray[np.float32]
Trace = npt.NDArray[np.float64]
BANDS = 12
"""Bands of principal components whose energy counts by itself."""
LINE_LAGS = (0, 1, 2, 4, 8)
EDGE_LAGS = (0, 1, 2, 4, 8, 16)
PIXEL_LAGS = (1, 2, 4, 7)
BRIGHT_SHARE = 0.7
"""Pixels above this share of an image's median are bright: they show the plate."""
FLAT = 0.1
"""Least squared gradient of a row, as a share of the mean, that its shift is divided by."""


def traces(residual: Fields, fitted: Fields, components: Fields) -> dict[str, Trace]:
    """Traces by name, ``[n]`` each.

    Args:
        residual: what a fit left of the images, grey levels ``[n, H, W]``.
        fitted: the fit itself, grey levels ``[n, H, W]``.
        components: principal components ``[H·W, d]``, the strongest first.
    """
    return {
        **_energies(residual, components),
        **_levels(residual, fitted),
        **_lags(residual),
        **_lines(residual, fitted),
        **_edges(residual, fitted),
    }


def _energies(residual: Fields, components: Fields) -> dict[str, Trace]:
    """Mean squares of the components, in bands as wide as they are far down."""
    squares = np.square(residual.reshape(len(residual), -1) @ components)
    borders = np.unique(np.geomspace(1, components.shape[1] + 1, BANDS).round().astype(int)) - 1
    return {
        f"components {low + 1}-{high}": squares[:, low:high].mean(axis=1)
        for low, high in pairwise(borders)
    }


def _levels(residual: Fields, fitted: Fields) -> dict[str, Trace]:
    bright = fitted > BRIGHT_SHARE * np.median(fitted, axis=(1, 2), keepdims=True)
    power = np.square(residual)
    return {
        name: (power * where).sum(axis=(1, 2)) / np.maximum(where.sum(axis=(1, 2)), 1)
        for name, where in (("bright", bright), ("dark", ~bright))
    }


def _lags(residual: Fields) -> dict[str, Trace]:
    """Products of pixels that stand some rows or columns apart."""
    found = {}
    for lag in PIXEL_LAGS:
        found[f"columns {lag}"] = (residual[:, :, lag:] * residual[:, :, :-lag]).mean(axis=(1, 2))
        found[f"rows {lag}"] = (residual[:, lag:] * residual[:, :-lag]).mean(axis=(1, 2))
        found[f"diagonal {lag}"] = (residual[:, lag:, lag:] * residual[:, :-lag, :-lag]).mean(
            axis=(1, 2)
        )
    return found


def _lines(residual: Fields, fitted: Fields) -> dict[str, Trace]:
    """Products of the gains of rows."""
    gain = (residual * fitted).sum(axis=2) / np.maximum(np.square(fitted).sum(axis=2), 1.0)
    return {f"lines {lag}": 1e4 * _product(gain, gain, lag) for lag in LINE_LAGS}


def _edges(residual: Fields, fitted: Fields) -> dict[str, Trace]:
    """Products of the shifts of left and right edges of the hole, within rows and across them."""
    gradient = np.gradient(fitted, axis=2)
    least = FLAT * np.mean(np.square(gradient).sum(axis=2))
    left, right = (
        -(residual * side).sum(axis=2) / (np.square(side).sum(axis=2) + least)
        for side in (np.minimum(gradient, 0), np.maximum(gradient, 0))
    )
    found = {}
    for lag in EDGE_LAGS:
        found[f"one edge {lag}"] = _product(left, left, lag) + _product(right, right, lag)
        found[f"both edges {lag}"] = _product(left, right, lag) + _product(right, left, lag)
    return found


def _product(one: Fields, other: Fields, lag: int) -> Trace:
    """The mean product of rows that stand ``lag`` apart, ``[n]``."""
    return np.asarray((one[:, lag:] * other[:, : one.shape[1] - lag]).mean(axis=1), np.float64)
