"""How far the mean image of a case may be off because few sites were measured.

Adapted keys have the mean image of the fab's images, so its error is an error of all keys. Images
of one site are alike: sites are drawn at random, not images. The covariance of such a mean is that
of the ratio estimator for clusters of unequal size (Cochran, Sampling Techniques, third edition,
1977, chapter 9A).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.noise.kinds import Images

GROUPS = 128
"""Of more groups than that, so many are made at random: the method of random groups (Wolter,
Introduction to Variance Estimation, 2007, chapter 2)."""
BATCH = 1024
MOST = 32
"""Patterns that are kept, the strongest first."""


def mean_patterns(*sets: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> Images:
    """Patterns of the error of a difference of mean images.

    Args:
        sets: images ``[n, H, W]`` of each mean, and the group of each image ``[n]``; groups of all
            sets are independent of each other.

    Returns:
        float32 ``[r, H, W]``, in the unit of the images: the sum of their outer products is the
        covariance. Of a set with a single group nothing is known, and nothing is added.
    """
    shape = sets[0][0].shape[1:]
    deviations = np.concatenate([_deviations(images, groups) for images, groups in sets])
    if not len(deviations):
        return np.zeros((0, *shape), np.float32)
    _, size, direction = np.linalg.svd(deviations.astype(np.float32), full_matrices=False)
    return np.asarray((size[:, None] * direction)[:MOST].reshape(-1, *shape), np.float32)


def _deviations(images: npt.NDArray[Any], groups: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """What each group adds to the error of the mean, ``[groups, pixels]``."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) > GROUPS:
        group = np.random.default_rng(0).permutation(len(names))[group] % GROUPS
    counts = np.bincount(group)
    sums = np.zeros((len(counts), int(np.prod(images.shape[1:]))))
    if len(counts) < 2:
        return sums[:0]
    for start in range(0, len(images), BATCH):
        batch = slice(start, start + BATCH)
        members = (group[batch] == np.arange(len(counts))[:, None]).astype(np.float32)
        sums += members @ np.asarray(images[batch], np.float32).reshape(members.shape[1], -1)
    mean = sums.sum(axis=0) / len(images)
    scale = np.sqrt(len(counts) / (len(counts) - 1)) / len(images)
    return np.asarray(scale * (sums - counts[:, None] * mean))
