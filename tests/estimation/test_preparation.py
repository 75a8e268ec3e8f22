"""What training fits to a storage, and what it knows of the fab's sites."""

from collections.abc import Callable

import numpy as np
import pytest

from semtf.config import RunConfig
from semtf.data.image_sets import FabSet
from semtf.estimation.preparation import Prepared, fitted
from semtf.retrieval.retriever import Retriever

Discs = Callable[..., tuple[np.ndarray, np.ndarray]]


def prepared(retriever: Retriever, images: np.ndarray, sites: np.ndarray) -> Prepared:
    names = np.array([f"image{i}" for i in range(len(images))])
    return fitted(retriever, FabSet(1, images, sites, names), RunConfig())


def test_few_sites_make_estimates_less_sure(retriever: Retriever, discs: Discs) -> None:
    """The same images, each a site of its own, or four sites of images of one size."""
    images, depth = discs(80, 3)
    images = images[np.argsort(depth.mean(axis=(1, 2)))]
    many, few = (
        prepared(retriever, images, np.array([f"S{i // each}" for i in range(80)]))
        for each in (1, 20)
    )
    assert few.intervals is not None
    assert many.intervals is not None
    assert few.intervals.half_width["wall"] > 1.2 * many.intervals.half_width["wall"]
    assert few.average is not None
    assert many.average is not None
    assert few.average.rmse["average"] > 1.1 * many.average.rmse["average"]
    # The fab's noise is that of single images: what sites leave unknown is no part of it.
    assert few.noise is not None
    assert many.noise is not None
    assert dict(few.noise.sizes) == dict(many.noise.sizes)
    np.testing.assert_array_equal(few.noise.patterns, many.noise.patterns)


@pytest.mark.parametrize("sites", [1, 80])
def test_what_is_fitted_is_whole(retriever: Retriever, discs: Discs, sites: int) -> None:
    images, _ = discs(80, 3)
    found = prepared(retriever, images, np.array([f"S{i % sites}" for i in range(80)]))
    assert found.errors is not None
    assert all(scale > 1 for scale in found.errors.scales.values())
