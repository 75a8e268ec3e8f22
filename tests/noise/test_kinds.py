"""Kinds of noise against their closed forms."""

import numpy as np
import pytest

from semtf.noise.kinds import BRIGHT, KINDS, autoregressive, moved_rows


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.unit == "levels"])
def test_the_size_is_the_standard_deviation_at_bright_pixels(name: str) -> None:
    images = np.full((150, 24, 16), BRIGHT, np.float32)
    noisy = KINDS[name].add(images, np.random.default_rng(0), 3.0)
    assert (noisy - images).std() == pytest.approx(3, rel=0.06)


def test_shot_noise_follows_the_grey_level_and_white_noise_does_not() -> None:
    dark = np.full((50, 24, 16), BRIGHT / 4, np.float32)
    shot, white = (
        (KINDS[name].add(dark, np.random.default_rng(0), 3.0) - dark).std()
        for name in ("shot", "white")
    )
    assert shot == pytest.approx(1.5, rel=0.05)
    assert white == pytest.approx(3, rel=0.05)


def test_correlation_over_the_length_is_1_over_e() -> None:
    flat = np.zeros((200, 32, 32), np.float32)
    noise = KINDS["correlated_1"].add(flat, np.random.default_rng(0), 1.0)
    assert np.mean(noise[:, :, 4:] * noise[:, :, :-4]) == pytest.approx(np.exp(-1), abs=0.04)
    assert np.mean(noise[:, 4:] * noise[:, :-4]) == pytest.approx(np.exp(-1), abs=0.04)


def test_autoregression() -> None:
    steps = autoregressive(np.random.default_rng(0), (3000, 20), 0.7)
    assert steps.std(axis=0) == pytest.approx(np.ones(20), rel=0.06)
    assert np.mean(steps[:, 3:] * steps[:, :-3]) == pytest.approx(0.7**3, abs=0.03)


def test_rows_move_by_fractions_and_by_many_pixels() -> None:
    ramp = np.tile(np.arange(16, dtype=np.float32), (1, 4, 1))
    moved = moved_rows(ramp, np.array([[0.0, 0.25, -1.5, 3.0]]))[0]
    expected = np.clip(np.arange(16) - np.array([0.0, 0.25, -1.5, 3.0])[:, None], 0, 15)
    np.testing.assert_allclose(moved, expected, atol=1e-5)
