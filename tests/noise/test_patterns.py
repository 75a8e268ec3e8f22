"""Patterns that images vary by beyond all kinds of noise."""

import numpy as np

from semtf.noise.patterns import excess_patterns

SHAPE = (24, 16)


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32)


def varied(images: np.ndarray, pattern: np.ndarray, seed: int) -> np.ndarray:
    """Images with a pattern, each times a normal number of its own."""
    draws = np.random.default_rng(seed).normal(size=(len(images), 1, 1))
    return (images + draws * pattern).astype(np.float32)


def test_patterns_are_found_with_their_sizes() -> None:
    relief, edge = np.zeros((2, *SHAPE), np.float32)
    relief[8:16, 4:12] = np.linspace(-2, 2, 8)[:, None]
    edge[:, 13] = 1.0
    real = varied(varied(noise(300, 0), relief, 1), edge, 2)
    found = excess_patterns(real, noise(280, 3))
    assert len(found) == 2
    for pattern, true in zip(found, (relief, edge), strict=True):
        size, true_size = np.linalg.norm(pattern), np.linalg.norm(true)
        assert abs(np.vdot(pattern, true)) > 0.95 * size * true_size
        assert abs(size / true_size - 1) < 0.2


def test_alike_images_have_none() -> None:
    for seed in range(5):
        assert len(excess_patterns(noise(150, seed), noise(150, seed + 100))) <= 1


def test_what_made_images_have_more_of_is_none() -> None:
    pattern = np.zeros(SHAPE, np.float32)
    pattern[:, 8] = 3.0
    assert len(excess_patterns(noise(150, 0), varied(noise(150, 1), pattern, 2))) == 0


def test_a_few_images_tell_nothing() -> None:
    assert excess_patterns(noise(7, 0), noise(100, 1)).shape == (0, *SHAPE)
