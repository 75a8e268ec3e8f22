"""Data and adaptations that cannot be right are refused or told."""

import numpy as np
import pytest

from semtf.adaptation.criterion import compare
from semtf.adaptation.plausibility import check_polarity, doubts
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError
from tests.adaptation.test_criterion import drawn, hole

NAMES = np.array([f"n{i}" for i in range(40)])


def sets(fab: np.ndarray) -> tuple[SimulatorSet, FabSet]:
    sem = np.stack([drawn(40, 0).astype(np.uint8)] * 2, axis=1)
    return SimulatorSet(1, sem, sem[:, 0], NAMES, NAMES), FabSet(1, fab, NAMES, NAMES)


def test_a_negative_is_refused() -> None:
    images = drawn(40, 1).astype(np.uint8)
    check_polarity(*sets(images))
    check_polarity(*sets(np.full_like(images, 100)))
    with pytest.raises(InputError, match="case 1: the fab's images are negatives"):
        check_polarity(*sets(255 - images))


def test_a_sound_adaptation_is_not_doubted() -> None:
    images = drawn(40, 0)
    assert doubts(compare(images, images + 5, drawn(40, 1))) == []


def test_moved_torn_and_lost_holes_are_told() -> None:
    images = drawn(40, 0)
    lower = np.roll(images, 3, axis=1)
    (moved,) = doubts(compare(images, lower, lower))
    assert "+3.0 pixels lower and +0.0 further right" in moved
    rng = np.random.default_rng(0)
    torn = np.stack([np.roll(image, rng.choice([-2, 2]), axis=1) for image in images])
    (text,) = doubts(compare(images, torn, images))
    assert "each in its own way" in text
    lost = images.copy()
    lost[:4] = hole(19, 15, 0.1)
    assert any("10% of the adapted images" in text for text in doubts(compare(images, lost, lost)))
