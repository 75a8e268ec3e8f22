"""Folds by site: whole sites, balanced cases, the same for the same seed."""

import numpy as np
import pytest

from semtf.classification.folds import stratified_folds
from semtf.errors import InputError


def sites_of_uneven_size() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    cases, sites = [], []
    for case in (1, 2, 4):
        for site, size in enumerate(generator.integers(3, 32, 40)):
            cases += [case] * size
            sites += [f"site_{site:05d}"] * size
    order = generator.permutation(len(cases))
    return np.array(cases)[order], np.array(sites)[order]


def test_folds_keep_sites_whole_and_cases_balanced() -> None:
    cases, sites = sites_of_uneven_size()
    fold = stratified_folds(cases, sites, 5, seed=1)
    for case in (1, 2, 4):
        mine = cases == case
        for site in np.unique(sites[mine]):
            assert len(np.unique(fold[mine & (sites == site)])) == 1
        counts = np.bincount(fold[mine], minlength=5)
        assert np.ptp(counts) <= 31


def test_folds_repeat_with_the_seed_and_change_with_it() -> None:
    cases, sites = sites_of_uneven_size()
    first = stratified_folds(cases, sites, 5, seed=1)
    np.testing.assert_array_equal(first, stratified_folds(cases, sites, 5, seed=1))
    assert (first != stratified_folds(cases, sites, 5, seed=2)).any()


def test_too_many_folds_are_named() -> None:
    with pytest.raises(InputError, match="--folds 3: case 2 has 2 sites only"):
        stratified_folds(np.array([2, 2, 2]), np.array(["a", "b", "b"]), 3, seed=0)
