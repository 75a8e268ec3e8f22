"""Images that share a case vote on it: those of a site, or neighbours in a row of images."""

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


def neighbour_vote(probabilities: NDArray[np.floating], window: int) -> NDArray[np.float32]:
    """A mode filter over images in their order: each takes the case of most of those around it.

    It helps where images of one case follow one another, and spoils what is right where they do
    not: a run of images shorter than half the window is outvoted.

    Args:
        probabilities: calibrated, ``[n, c]``, in the order of the images.
        window: images that vote on the one in their middle, odd; fewer at both ends.

    Returns:
        ``[n, c]``: an image that keeps its case keeps its row; one that is outvoted gets the mean
        of the rows of those that voted for its new case. Of cases with equal votes its own one
        wins, or the one of the smaller column.
    """
    own = probabilities.argmax(axis=1)
    result = probabilities.astype(np.float32)
    for i, case in enumerate(own):
        around = slice(max(0, i - window // 2), i + window // 2 + 1)
        votes = np.bincount(own[around], minlength=probabilities.shape[1])
        winner = int(votes.argmax())
        if votes[winner] > votes[case]:
            result[i] = probabilities[around][own[around] == winner].mean(axis=0)
    return result
