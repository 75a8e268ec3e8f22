"""The spread of neighbours beside a sum in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest

from semtf.config import Weights
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.retrieval.blending import Blending
from semtf.retrieval.retriever import Retriever


@pytest.mark.parametrize("weights", ["nearest", "uniform", "reconstruction"])
def test_spread_is_the_weighted_deviation(
    retriever: Retriever, discs: Callable[..., tuple[np.ndarray, np.ndarray]], weights: Weights
) -> None:
    images = discs(5, 1)[0].astype(np.float32)
    blending = Blending(1 if weights == "nearest" else 12, weights)
    found = retriever.search(images, num_to_search(retriever, blending))
    depth, spread, kept, weight = depth_and_spread(retriever, images, found, blending)
    assert kept.pair.shape == weight.shape == (5, blending.k)
    deviating, share = (found, np.ones((5, 8))) if blending.single else (kept, np.abs(weight))
    counts = np.round(128 * share / share.sum(axis=1, keepdims=True))
    share = counts / counts.sum(axis=1, keepdims=True)
    values = retriever.pixels.values(deviating).numpy()
    squares = np.square(values - depth.numpy()[:, None])
    expected = np.sqrt(np.einsum("qk,qkhw->qhw", share, squares))
    np.testing.assert_allclose(spread, expected, atol=1e-3)
    agreed = (values == values[:, :1]).all(axis=1)
    assert agreed.any()
    assert np.max(spread.numpy()[agreed]) < 1e-3
