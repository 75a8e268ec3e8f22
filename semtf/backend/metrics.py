"""Agreement of classifications."""

import numpy as np
import numpy.typing as npt

from semtf.backend.installed import is_classic

Labels = npt.NDArray[np.integer]


def cohen_kappa(true: Labels, predicted: Labels, classes: int) -> float | None:
    """Cohen's kappa: 1 where all labels ``[n]`` agree, 0 where they do so by chance.

    Args:
        true: numbers of classes, from 0.
        predicted: the same.
        classes: how many there are.

    Returns:
        The coefficient; None where all labels are of one class, for which there is none.
    """
    if len(np.union1d(true, predicted)) < 2:
        return None
    if is_classic():
        from semtf.backend import addons

        return addons.cohen_kappa(true, predicted, classes)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (true, predicted), 1)
    observed = np.trace(confusion)
    expected = (confusion.sum(axis=0) * confusion.sum(axis=1)).sum() / confusion.sum()
    return float((observed - expected) / (confusion.sum() - expected))
