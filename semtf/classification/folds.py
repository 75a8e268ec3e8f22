"""Folds that keep a site in one piece and every case in every fold."""

import numpy as np
from numpy.typing import NDArray

from semtf.errors import InputError


def stratified_folds(
    cases: NDArray[np.integer], sites: NDArray[np.str_], folds: int, seed: int
) -> NDArray[np.int64]:
    """The fold of each image, by site, balanced in the number of images of each case.

    The sites of a case are shuffled, then dealt from the largest to the smallest, each to the
    fold that has the fewest images of this case so far.

    Args:
        cases: ``[n]``, case of each image.
        sites: ``[n]``, site of each image; sites of different cases are different sites.
        folds: number of folds, at least 2.
        seed: of the shuffle.

    Returns:
        ``[n]``, 0 to ``folds - 1``.

    Raises:
        InputError: a case has fewer sites than there are folds.
    """
    fold = np.zeros(len(cases), np.int64)
    generator = np.random.default_rng(seed)
    for case in np.unique(cases):
        members = np.flatnonzero(cases == case)
        names, index, count = np.unique(sites[members], return_inverse=True, return_counts=True)
        if len(names) < folds:
            raise InputError(
                f"--folds {folds}: case {case} has {len(names)} sites only; choose fewer folds"
            )
        shuffled = generator.permutation(len(names))
        filled = np.zeros(folds, np.int64)
        chosen = np.zeros(len(names), np.int64)
        for site in shuffled[np.argsort(-count[shuffled], kind="stable")]:
            chosen[site] = filled.argmin()
            filled[chosen[site]] += count[site]
        fold[members] = chosen[index]
    return fold
