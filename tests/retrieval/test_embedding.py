"""Normalising, shifting and projecting, beside NumPy."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift as move_image

from semtf.retrieval.embedding import PCA, adjoint_shifts, normalise, shifted, shifts


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
    assert not normalise(tf.fill([1, 9, 7], 42.0)).numpy().any()


def test_shifts_are_rows_then_columns() -> None:
    assert shifts(1).tolist() == [[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)]


@pytest.mark.parametrize("move", [(0, 0), (2, -1), (-2, 2), (0, 1), (-1, 0)])
def test_shifted_moves_down_and_right_and_replicates_edges(move: tuple[int, int]) -> None:
    images = noise(3)
    found = shifted(tf.constant(images), move).numpy()
    expected = [move_image(image, move, order=0, mode="nearest") for image in images]
    np.testing.assert_array_equal(found, expected)


def test_back_projected_is_the_adjoint_of_every_shift() -> None:
    keys, images = noise(1).astype(np.float32), noise(3, 1).astype(np.float32)
    back = adjoint_shifts(tf.constant(images), 2).numpy()
    found = np.einsum("hw,nshw->ns", keys[0], back)
    views = np.array([shifted(tf.constant(keys), tuple(move))[0].numpy() for move in shifts(2)])
    np.testing.assert_allclose(found, np.einsum("shw,nhw->ns", views, images), rtol=1e-5)


def test_all_components_give_the_cosine_itself() -> None:
    keys = noise(40)
    pca = PCA.fit(keys, radius=0, dimensions=62, seed=0)
    a, b = normalise(tf.constant(keys[:5])), normalise(tf.constant(keys[5:12]))
    found = tf.matmul(pca.queries(a), pca.rows(b), transpose_b=True)
    expected = tf.einsum("ihw,jhw->ij", a, b)
    np.testing.assert_allclose(found, expected, atol=1e-5)


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
