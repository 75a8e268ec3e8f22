"""Normalising and projecting, beside NumPy."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.retrieval.projection import PCA, normalise


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 213, (n, 9, 7)).astype(np.uint8)


def test_normalise_forgets_the_grey_scale() -> None:
    images = noise(4)
    one = normalise(tf.constant(images)).numpy()
    other = normalise(tf.constant(0.3 * images.astype(np.float32) - 5)).numpy()
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(one.sum((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose((one**2).sum((1, 2)), 1, rtol=1e-6)


def test_normalise_a_constant_image_to_zeros() -> None:
    for level in (0.0, 42.0, 100.3, 0.1):
        for shape in ((1, 9, 7), (2, 72, 48), (1, 301, 299)):
            assert not normalise(tf.fill(shape, level)).numpy().any()


def test_normalise_keeps_the_least_contrast_of_grey_levels() -> None:
    images = np.full((2, 72, 48), 255, np.uint8)
    images[:, 40, 20] -= 1
    assert np.linalg.norm(normalise(tf.constant(images))[0]) == pytest.approx(1, rel=1e-4)


def test_all_components_give_the_cosine_itself() -> None:
    keys = noise(40)
    pca = PCA.fit(keys, radius=0, dimensions=62, seed=0)
    a, b = normalise(tf.constant(keys[:5])), normalise(tf.constant(keys[5:12]))
    products = tf.matmul(pca.embed_queries(a), pca.embed_keys(b), transpose_b=True)
    expected = tf.einsum("ihw,jhw->ij", a, b)
    np.testing.assert_allclose(products, expected, atol=1e-5)


def test_few_components_are_the_best_of_that_number() -> None:
    keys = noise(40)
    pca = PCA.fit(keys, radius=0, dimensions=5, seed=0)
    flat = normalise(tf.constant(keys)).numpy().reshape(40, -1)
    kept = ((flat @ pca.components.numpy()) ** 2).sum()
    assert kept == pytest.approx((np.linalg.svd(flat)[1][:5] ** 2).sum(), rel=1e-5)


def test_saved_and_loaded_with_the_same_bytes(tmp_path: Path) -> None:
    keys = noise(40)
    one, other = (PCA.fit(keys, radius=1, dimensions=7, seed=3) for _ in range(2))
    one.save(tmp_path)
    loaded = PCA.load(tmp_path)
    for name in ("components", "scale"):
        expected = getattr(one, name).numpy()
        np.testing.assert_array_equal(getattr(other, name).numpy(), expected)
        np.testing.assert_array_equal(getattr(loaded, name).numpy(), expected)
