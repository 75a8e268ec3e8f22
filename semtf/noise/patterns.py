"""What images leave beyond every kind of noise: patterns of a size that varies from image to image.

Kinds of noise are the same all over an image. A floor whose relief the adapted keys do not show, or
a wall that they show elsewhere, is not: the residuals of fab images vary more in some directions
than those of made images. The difference of their covariance matrices tells these directions (a
difference of second moments, as in `semtf.noise.fit`), and one half of the images confirms what
the other half suggests.
"""

import numpy as np

from semtf.noise.traces import Fields

DIMENSIONS = 64
"""Principal components of all residuals within which patterns are looked for."""
MOST = 16
"""Patterns that are kept, the strongest first."""
SIGNIFICANT = 3.0
"""Standard errors by which the confirming half must vary more."""
FEWEST = 8
"""Images of each set that are needed."""


def excess_patterns(real: Fields, made: Fields) -> Fields:
    """Patterns ``[r, H, W]`` that residuals of real images have and those of made images have not.

    Args:
        real: residuals of fab images, grey levels ``[n, H, W]``.
        made: residuals of made images, grey levels ``[m, H, W]``.

    Returns:
        Orthogonal patterns, each times the standard deviation that made images lack, in grey
        levels; none where nothing significant is missing.
    """
    shape = real.shape[1:]
    if min(len(real), len(made)) < FEWEST:
        return np.zeros((0, *shape), np.float32)
    columns = [(images - images.mean(axis=0)).reshape(len(images), -1) for images in (real, made)]
    _, _, directions = np.linalg.svd(np.concatenate(columns), full_matrices=False)
    basis = directions[:DIMENSIONS]
    of_real, of_made = (images @ basis.T for images in columns)
    suggested = _covariance(of_real[::2]) - _covariance(of_made[::2])
    excess, vectors = np.linalg.eigh(suggested)
    found = []
    for i in np.argsort(-excess)[:MOST]:
        squares = [np.square(images[1::2] @ vectors[:, i]) for images in (of_real, of_made)]
        missing = squares[0].mean() - squares[1].mean()
        error = np.sqrt(sum(square.var() / len(square) for square in squares))
        if excess[i] > 0 and missing > SIGNIFICANT * error:
            found.append(np.sqrt(missing) * (vectors[:, i] @ basis))
    return np.array(found, np.float32).reshape(-1, *shape)


def _covariance(values: Fields) -> Fields:
    product: Fields = values.T @ (values / np.float32(len(values)))
    return product
