"""Distances of coordinates are those of weighted pixels."""

import numpy as np
import tensorflow as tf

from semtf.retrieval.coordinates import Coordinates
from semtf.retrieval.projection import PCA


def test_distances_are_those_of_weighted_pixels() -> None:
    generator = np.random.default_rng(0)
    components = np.linalg.qr(generator.normal(size=(20, 4)))[0].astype(np.float32)
    pca = PCA(components, generator.uniform(0.5, 2, 4).astype(np.float32))
    pixels = generator.uniform(0.1, 3, 20).astype(np.float32)
    coordinates = Coordinates(pca, pixels)
    images = generator.normal(size=(3, 5, 4)).astype(np.float32)
    keys = (generator.normal(size=(6, 4)) @ components.T).astype(np.float32)
    embeddings = pca.embed_keys(tf.constant(keys.reshape(6, 5, 4)))

    of_keys = coordinates.of_embeddings(tf.stack([embeddings] * 3)).numpy()
    of_images = coordinates.of_images(tf.constant(images)).numpy()
    distances = np.square(of_images[:, None] - of_keys).sum(-1)

    expected = (pixels * np.square(images.reshape(3, 1, 20) - keys)).sum(-1)
    # What no key can change is left out: the same for all keys of an image.
    left_out = expected - distances
    np.testing.assert_allclose(left_out, left_out[:, :1] * np.ones(6), rtol=1e-4)
    assert (left_out > 0).all()
