"""Moving, blending and centring, beside SciPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift as move_image

from semtf.retrieval.alignment import blended, centred, hole_centre, peak
from semtf.retrieval.projection import normalise

SHAPE = (12, 10)


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 255, (6, *SHAPE)).astype(np.uint8)
    pair = generator.integers(0, 6, (3, 4)).astype(np.int32)
    shift = generator.integers(-2, 3, (3, 4, 2)).astype(np.int32)
    weights = generator.normal(size=(3, 4)).astype(np.float32)
    return images, pair, shift, weights


def slowly_moved(images: np.ndarray, pair: np.ndarray, shift: np.ndarray) -> np.ndarray:
    out = np.empty((*pair.shape, *SHAPE))
    for index in np.ndindex(*pair.shape):
        image = images[pair[index]].astype(float)
        out[index] = move_image(image, shift[index], order=1, mode="nearest")
    return out


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_blended_is_the_weighted_sum(fraction: float) -> None:
    images, pair, shift, weights = drawn()
    moves = np.clip(shift + fraction, -2, 2).astype(np.float32)
    flat = tf.constant(images.reshape(6, -1))
    total = blended(flat, tf.constant(pair), tf.constant(moves), tf.constant(weights), 2, SHAPE)
    expected = np.einsum("qk,qkhw->qhw", weights, slowly_moved(images, pair, moves))
    np.testing.assert_allclose(total, expected, atol=1e-2)


def test_blended_with_wrapped_shifts_is_the_sum_of_rolled_images() -> None:
    images, pair, shift, weights = drawn()
    flat = tf.constant(images.reshape(6, -1))
    total = blended(flat, tf.constant(pair), tf.constant(shift), weights, 2, SHAPE, "wrap")
    moved = [
        [np.roll(images[p].astype(float), s, (0, 1)) for p, s in zip(*row, strict=True)]
        for row in zip(pair, shift, strict=True)
    ]
    np.testing.assert_allclose(total, np.einsum("qk,qkhw->qhw", weights, moved), atol=1e-2)


def test_blended_without_shifts() -> None:
    images, pair, shift, weights = drawn()
    none = tf.zeros_like(shift)
    flat = tf.constant(images.reshape(6, -1))
    total = blended(flat, tf.constant(pair), none, tf.constant(weights), 0, SHAPE)
    expected = np.einsum("qk,qkhw->qhw", weights, images[pair].astype(float))
    np.testing.assert_allclose(total, expected, atol=1e-2)


def hole(centre: tuple[float, float], shape: tuple[int, int] = (36, 24)) -> np.ndarray:
    """A dark ellipse with a soft edge; centre in pixels from the middle of the image."""
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in shape)
    radius = np.hypot((rows[:, None] - centre[0]) / 12, (columns - centre[1]) / 8)
    return (200 / (1 + np.exp(-12 * (radius - 1)))).astype(np.float32)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.5, -1.25), (-0.5, 0.75)])
def test_hole_centre_of_a_drawn_hole(centre: tuple[float, float]) -> None:
    images = normalise(tf.constant(hole(centre))[None])
    np.testing.assert_allclose(hole_centre(images)[0], centre, atol=0.12)


def test_centred_holes_are_alike() -> None:
    images = normalise(tf.constant(np.stack([hole((0.0, 0.0)), hole((1.4, -1.3))])))
    moved = centred(images, 2)
    before, after = (float(tf.reduce_sum(x[0] * x[1])) for x in (images, moved))
    assert before < 0.95
    assert after > 0.995


def test_peak_of_a_parabola_between_whole_shifts() -> None:
    rows, columns = np.mgrid[-2:3, -2:3]
    tables = [
        -((rows - r) ** 2) - 2.0 * (columns - c) ** 2 for r, c in ((0.3, -0.2), (-1.4, 1.0), (2, 0))
    ]
    cosine = tf.constant(np.reshape(tables, (1, 3, 25)), tf.float32)
    # The last is best at the end of the rows, where nothing lies beyond.
    expected = [[[0.3, -0.2], [-0.4, 0.0], [0.0, 0.0]]]
    np.testing.assert_allclose(peak(cosine, 2), expected, atol=1e-5)
