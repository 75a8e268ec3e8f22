"""How far means of grouped images may be off: closed forms, repeated drawing, random groups."""

import numpy as np
import pytest

from semtf.noise.sampling import GROUPS, mean_patterns


def covariance(patterns: np.ndarray) -> np.ndarray:
    flat = patterns.reshape(len(patterns), -1)
    return flat.T @ flat


def sites(generator: np.random.Generator, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Images of sites of several sizes: the first pixel is the site's own, the last the image's."""
    group = np.repeat(np.arange(count), generator.integers(3, 12, count))
    images = np.zeros((len(group), 2, 2))
    images[:, 0, 0] = 2 * generator.normal(size=count)[group]
    images[:, 1, 1] = generator.normal(size=len(group))
    return images, group


def test_images_that_are_alike_count_as_one() -> None:
    images = np.array([1.0, 1.0, 1.0, 5.0, 5.0, 5.0])[:, None, None]
    found = covariance(mean_patterns((images, np.array(list("aaabbb")))))
    # Two sites' means, 1 and 5: variance 8, of the mean of two 4.
    assert found == pytest.approx(np.array([[4.0]]))
    alone = covariance(mean_patterns((images, np.arange(6))))
    assert alone == pytest.approx(images.var(ddof=1) / 6)


def test_the_covariance_is_that_of_means_drawn_again() -> None:
    generator = np.random.default_rng(0)
    means = np.array([sites(generator)[0].mean(axis=0).ravel() for _ in range(3000)])
    told = np.mean([covariance(mean_patterns(sites(generator))) for _ in range(100)], axis=0)
    np.testing.assert_allclose(told, np.cov(means.T), atol=0.05 * means.var(axis=0).max())


def test_more_groups_than_are_kept_apart() -> None:
    generator = np.random.default_rng(1)
    group = np.repeat(np.arange(10 * GROUPS), 2)
    images = generator.normal(size=10 * GROUPS)[group][:, None, None]
    found = float(covariance(mean_patterns((images, group)))[0, 0])
    assert found == pytest.approx(1 / (10 * GROUPS), rel=0.3)


def test_errors_of_two_means_add_up_and_one_group_says_nothing() -> None:
    generator = np.random.default_rng(2)
    one, other = sites(generator), sites(generator)
    both = covariance(mean_patterns(one, other))
    each = [covariance(mean_patterns(images)) for images in (one, other)]
    np.testing.assert_allclose(both, sum(each), atol=1e-6)
    images = generator.normal(size=(5, 3, 2))
    assert mean_patterns((images, np.zeros(5))).shape == (0, 3, 2)
