"""The losses of CycleGAN and CUT; all are means over the batch, as scalars."""

from collections.abc import Callable

import tensorflow as tf

NORM_EPSILON = 1e-12


def wasserstein_critic(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """What a critic minimises: mean score of fakes minus that of real images (WGAN)."""
    return tf.reduce_mean(fake_scores) - tf.reduce_mean(real_scores)


def wasserstein_generator(fake_scores: tf.Tensor) -> tf.Tensor:
    """What a generator minimises: minus the mean score of its images (WGAN)."""
    return -tf.reduce_mean(fake_scores)


def least_squares_critic(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """What a critic minimises: half the squared distance to 1 and 0 (LSGAN, Mao et al. 2017)."""
    real = tf.reduce_mean(tf.square(real_scores - 1.0))
    return 0.5 * (real + tf.reduce_mean(tf.square(fake_scores)))


def least_squares_generator(fake_scores: tf.Tensor) -> tf.Tensor:
    """What a generator minimises: half the squared distance of its scores to 1 (LSGAN)."""
    return 0.5 * tf.reduce_mean(tf.square(fake_scores - 1.0))


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor],
    real: tf.Tensor,
    fake: tf.Tensor,
    mix: tf.Tensor,
) -> tf.Tensor:
    """WGAN-GP's penalty, ``mean((‖∇_x D(x)‖₂ − 1)²)`` (Gulrajani et al. 2017, equation 3).

    Args:
        critic: function from images to one score an image.
        real: ``[batch, H, W, 1]``.
        fake: ``[batch, H, W, 1]``.
        mix: uniform in [0, 1), ``[batch, 1, 1, 1]``; x = mix · real + (1 − mix) · fake.
    """
    between = mix * real + (1.0 - mix) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = critic(between)
    gradient = tape.gradient(scores, between)
    # The square root has no derivative at 0, where a dead critic would turn the weights to NaN.
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]) + NORM_EPSILON)
    return tf.reduce_mean(tf.square(norm - 1.0))


def absolute(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference: the cycle loss and the identity loss."""
    return tf.reduce_mean(tf.abs(first - second))


def patch_nce(queries: tf.Tensor, keys: tf.Tensor, temperature: float) -> tf.Tensor:
    """PatchNCE: is each patch's own key recognised among those of its image (Park et al. 2020)?

    Args:
        queries: ``[batch, patches, features]``, unit vectors, of the translated images.
        keys: those of the same patches of the images that were translated.
        temperature: divides the cosines.

    Returns:
        The cross entropy, a mean over all patches; ``log(patches)`` where nothing is recognised.
    """
    logits = tf.matmul(queries, keys, transpose_b=True) / temperature
    matching = tf.linalg.diag_part(logits)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=2) - matching)
