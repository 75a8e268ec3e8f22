"""One case a site: the images of a site share it, so they vote."""

import numpy as np
from numpy.typing import NDArray

CORRELATION = 0.1
"""How alike the images of a site are wrong: thirty of them say as much as eight independent ones.

What makes a classifier err, such as a site's dose or etch, is common to the images of a site.
"""


def site_vote(probabilities: NDArray[np.floating], sites: NDArray[np.str_]) -> NDArray[np.float32]:
    """The probabilities of each site, given to each of its images.

    The images of a site are views of one case, but no independent ones: n of them count as
    ``n/(1 + (n − 1)·ρ)``, with ρ the `CORRELATION` (the design effect of Kish, 1965). So the log
    probabilities are averaged over the site, multiplied by that number and normalised again.

    Args:
        probabilities: calibrated, ``[n, c]``, each row summing to 1.
        sites: ``[n]``, the site of each image.

    Returns:
        ``[n, c]``: the same row for every image of a site.
    """
    _, index = np.unique(sites, return_inverse=True)
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
    summed = np.zeros((index.max(initial=-1) + 1, probabilities.shape[1]))
    np.add.at(summed, index, logs)
    count = np.bincount(index, minlength=len(summed))
    summed /= (1 + (count - 1) * CORRELATION)[:, None]
    summed -= summed.max(axis=1, keepdims=True)
    votes = np.exp(summed)
    votes /= votes.sum(axis=1, keepdims=True)
    return votes[index].astype(np.float32)
