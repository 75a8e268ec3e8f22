"""The site vote against its closed form."""

import numpy as np

from semtf.classification.voting import CORRELATION, site_vote


def test_vote_is_the_normalised_product_of_a_site_of_alike_images() -> None:
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]], np.float32)
    votes = site_vote(probabilities, np.array(["b", "a", "b", "b"]))
    product = np.array([0.6 * 0.9 * 0.2, 0.4 * 0.1 * 0.8]) ** (1 / (1 + 2 * CORRELATION))
    np.testing.assert_allclose(votes[[0, 2, 3]], [product / product.sum()] * 3, rtol=1e-6)
    np.testing.assert_allclose(votes[1], [0.3, 0.7], rtol=1e-6)


def test_thousands_of_images_do_not_underflow() -> None:
    probabilities = np.tile(np.array([[0.5, 0.3, 0.2]]), (5000, 1))
    votes = site_vote(probabilities, np.full(5000, "a"))
    assert list(votes[0].argsort()) == [2, 1, 0]
    # However many they are, they say no more than 1/ρ independent images.
    ten = np.array([0.5, 0.3, 0.2]) ** (1 / CORRELATION)
    np.testing.assert_allclose(votes[0], ten / ten.sum(), rtol=0.02)
    assert site_vote(np.zeros((0, 3)), np.zeros(0, np.str_)).shape == (0, 3)


def test_a_certain_mistake_does_not_silence_its_site() -> None:
    probabilities = np.array([[1.0, 0.0], *[[0.01, 0.99]] * 20])
    assert site_vote(probabilities, np.full(21, "a"))[0].argmax() == 1
