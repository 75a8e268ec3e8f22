"""The site vote against its closed form."""

import numpy as np

from semtf.classification.train import calibrate
from semtf.classification.voting import CORRELATION, neighbour_vote, site_vote


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


def rows(cases: list[int], sure: float = 0.8) -> np.ndarray:
    """Probabilities of three cases, of which these are the most probable."""
    others = (1 - sure) / 2
    return np.where(np.arange(3) == np.array(cases)[:, None], sure, others).astype(np.float32)


def test_neighbours_vote_as_a_mode_filter_does() -> None:
    cases = np.random.default_rng(0).integers(0, 3, 200).tolist()
    voted = neighbour_vote(rows(cases), 5).argmax(axis=1).tolist()
    for i, case in enumerate(cases):
        counts = np.bincount(cases[max(0, i - 2) : i + 3], minlength=3)
        kept = counts[case] == counts.max()
        assert voted[i] == (case if kept else counts.argmax())


def test_who_keeps_its_case_keeps_its_row() -> None:
    probabilities = rows([0, 0, 2, 0, 0, 1, 1, 1])
    probabilities[1] = [0.5, 0.3, 0.2]
    voted = neighbour_vote(probabilities, 3)
    np.testing.assert_array_equal(
        voted[[0, 1, 3, 4, 5, 6, 7]], probabilities[[0, 1, 3, 4, 5, 6, 7]]
    )
    np.testing.assert_allclose(voted[2], [0.65, 0.2, 0.15], rtol=1e-6)
    assert neighbour_vote(np.zeros((0, 3)), 9).shape == (0, 3)


class Known:
    """A classifier whose logits are known."""

    cases = (3, 7)

    def __init__(self, logits: np.ndarray) -> None:
        self._logits = logits

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self._logits


def test_sites_of_one_name_in_two_cases_do_not_vote_together() -> None:
    """The challenge numbers the sites of each level anew."""
    labels = np.repeat([0, 1], 10)
    sites = np.tile(np.repeat(["site_00000", "site_00001"], 5), 2)
    classifier = Known(np.eye(2)[labels] * 4 + np.random.default_rng(0).normal(size=(20, 2)) / 10)
    calibrate(classifier, np.zeros((20, 8, 8), np.uint8), labels, sites, 1e-3)
    assert classifier.metrics["accuracy"] == 1
    assert classifier.metrics["accuracy_with_votes_of_sites"] == 1
    assert classifier.metrics["reliability"][-1]["accuracy"] == 1
    expected = [
        {"case": case, "site": site, "images": 5, "right": 1.0, "vote": case}
        for case in (3, 7)
        for site in ("site_00000", "site_00001")
    ]
    assert classifier.metrics["sites"] == expected
