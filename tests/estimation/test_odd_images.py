"""Images that no run was trained for: a number comes out, and it is flagged."""

from pathlib import Path

import numpy as np
import pytest
from odd_images import ODD

from semtf.data.dataset import open_dataset
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.result import DepthResult
from semtf.run import Run


@pytest.fixture(scope="module")
def estimator(run: Run) -> Estimator:
    return load(run.path, index="exact")


@pytest.fixture(scope="module")
def images(fab: Path) -> np.ndarray:
    """Eight SEM images of the fab, uint8 [8, 72, 48]."""
    return np.array(open_dataset(fab).test().images[::3])


@pytest.fixture(scope="module")
def usual(estimator: Estimator, images: np.ndarray) -> DepthResult:
    return estimator.predict(images)


@pytest.mark.parametrize("name", ODD)
def test_odd_images_give_finite_numbers(
    name: str, estimator: Estimator, images: np.ndarray
) -> None:
    odd = ODD[name](images)
    assert odd.shape == images.shape
    assert odd.dtype == np.uint8
    result = estimator.predict(odd)
    assert np.isfinite(result.depth).all()
    assert np.isfinite(result.sigma).all()
    assert result.sigma.min() >= 0


@pytest.mark.parametrize("name", ["all black", "all plate", "saturated", "lines", "noise"])
def test_what_is_no_hole_is_flagged(name: str, estimator: Estimator, images: np.ndarray) -> None:
    flags = estimator.predict(ODD[name](images)).flags
    assert all({"unlike_storage", "unusual_scale"} & set(words) for words in flags)


@pytest.mark.parametrize("batch", [1, 2, 3, 128])
def test_order_and_batch_size_change_no_depth(
    batch: int, estimator: Estimator, images: np.ndarray, usual: DepthResult
) -> None:
    shuffled = np.random.default_rng(batch).permutation(len(images))
    other = estimator.predict(images[shuffled], batch=batch)
    np.testing.assert_allclose(other.depth, usual.depth[shuffled], atol=1e-4)
    np.testing.assert_allclose(other.sigma, usual.sigma[shuffled], atol=1e-4)
