"""The losses beside slow, obvious versions and closed forms."""

import numpy as np
import tensorflow as tf

from semtf.adaptation import losses

RNG = np.random.default_rng(0)


def images(count: int) -> np.ndarray:
    return RNG.uniform(-1, 1, (count, 8, 8, 1)).astype(np.float32)


def test_wasserstein_losses() -> None:
    real, fake = RNG.normal(size=5).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    expected = sum(fake) / 5 - sum(real) / 5
    np.testing.assert_allclose(losses.wasserstein_critic(real, fake), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.wasserstein_generator(fake), -sum(fake) / 5, rtol=1e-5)


def test_least_squares_losses() -> None:
    real, fake = RNG.normal(size=5).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    expected = 0.5 * (sum((r - 1) ** 2 for r in real) + sum(f**2 for f in fake)) / 5
    np.testing.assert_allclose(losses.least_squares_critic(real, fake), expected, rtol=1e-5)
    expected = 0.5 * sum((f - 1) ** 2 for f in fake) / 5
    np.testing.assert_allclose(losses.least_squares_generator(fake), expected, rtol=1e-5)


def test_absolute_difference() -> None:
    first, second = images(3), images(3)
    slow = sum(abs(a - b) for a, b in zip(first.ravel(), second.ravel(), strict=True)) / first.size
    np.testing.assert_allclose(losses.absolute(first, second), slow, rtol=1e-5)


def test_penalty_of_a_linear_critic() -> None:
    slope = RNG.normal(size=(8, 8, 1)).astype(np.float32)
    penalty = losses.gradient_penalty(
        lambda x: tf.reduce_sum(x * slope, [1, 2, 3]), images(4), images(4), tf.zeros([4, 1, 1, 1])
    )
    np.testing.assert_allclose(penalty, (np.linalg.norm(slope) - 1) ** 2, rtol=1e-5)


def test_penalty_is_taken_between_real_and_fake() -> None:
    # The gradient of |x|²/2 is x itself, so the penalty tells where it was taken.
    real, fake = images(4), images(4)
    mix = RNG.uniform(size=(4, 1, 1, 1)).astype(np.float32)
    penalty = losses.gradient_penalty(
        lambda x: 0.5 * tf.reduce_sum(x * x, [1, 2, 3]), tf.constant(real), tf.constant(fake), mix
    )
    points = (mix * real + (1 - mix) * fake).reshape(4, -1)
    expected = np.mean((np.linalg.norm(points, axis=1) - 1) ** 2)
    np.testing.assert_allclose(penalty, expected, rtol=1e-5)


def test_penalty_of_a_constant_critic_has_a_finite_gradient() -> None:
    scale = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(
            lambda x: scale * tf.reduce_sum(x, [1, 2, 3]),
            tf.constant(images(2)),
            tf.constant(images(2)),
            tf.zeros([2, 1, 1, 1]),
        )
    np.testing.assert_allclose(penalty, 1.0, rtol=1e-4)
    assert np.isfinite(tape.gradient(penalty, scale))
