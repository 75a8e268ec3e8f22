"""Shifts beside SciPy's, and their adjoint."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift as move_image

from semtf.config import Edges
from semtf.retrieval.shifts import adjoint_shifts, shifted, shifts


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 213, (n, 9, 7)).astype(np.uint8)


def test_shifts_are_rows_then_columns() -> None:
    assert shifts(1).tolist() == [[a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)]


@pytest.mark.parametrize("move", [(0, 0), (2, -1), (-2, 2), (0, 1), (-1, 0)])
def test_shifted_moves_down_and_right_and_replicates_edges(move: tuple[int, int]) -> None:
    images = noise(3)
    moved = shifted(tf.constant(images), move).numpy()
    expected = [move_image(image, move, order=0, mode="nearest") for image in images]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("move", [(0, 0), (2, -1), (-2, 2)])
def test_wrapped_shifts_are_those_of_roll(move: tuple[int, int]) -> None:
    moved = shifted(tf.constant(noise(3)), move, "wrap").numpy()
    np.testing.assert_array_equal(moved, np.roll(noise(3), move, (1, 2)))


@pytest.mark.parametrize("edges", ["replicate", "wrap"])
def test_the_product_with_the_adjoint_is_that_with_the_shifted_key(edges: Edges) -> None:
    keys, images = noise(1).astype(np.float32), noise(3, 1).astype(np.float32)
    adjoint = adjoint_shifts(tf.constant(images), 2, edges).numpy()
    products = np.einsum("hw,nshw->ns", keys[0], adjoint)
    moved = [shifted(tf.constant(keys), tuple(move), edges) for move in shifts(2)]
    views = np.array([images[0].numpy() for images in moved])
    np.testing.assert_allclose(products, np.einsum("shw,nhw->ns", views, images), rtol=1e-5)
