"""The networks: sizes, statistics and augmentation against slow versions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from semtf.classification.augmentation import with_noise
from semtf.classification.baselines import PERCENTILES, PixelStatistics, small_convnet
from semtf.classification.classifier import NETWORKS
from semtf.classification.efficientnet import efficientnet_b0
from semtf.config import ImageConfig

SIZE = ImageConfig().shape


def test_efficientnet_has_the_published_size() -> None:
    model = efficientnet_b0(SIZE, 4)
    # 5,288,548 of the colour network with 1,000 classes, less two stem channels and the head.
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == 5_288_548 - 2 * 32 * 9 - 1281 * 1000 + 1281 * 4
    assert model.input_shape == (None, *SIZE, 1)
    assert model.output_shape == (None, 4)
    assert model.get_layer("top_conv").output.shape == (None, 3, 2, 1280)


def test_bottlenecks_are_linear_and_residuals_start_closed() -> None:
    model = efficientnet_b0(SIZE, 4, momentum=0.8)
    ends = [layer for layer in model.layers if layer.name.endswith("project_activation")]
    assert len(ends) == 16
    assert all(layer.activation is keras.activations.linear for layer in ends)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 49
    assert {layer.momentum for layer in norms} == {0.8}
    closed = [layer.name for layer in norms if not layer.gamma.numpy().any()]
    assert len(closed) == 9
    assert all(name.endswith("_project_bn") for name in closed)


def test_small_convnet_has_its_counted_size() -> None:
    model = small_convnet(SIZE, 4)
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 128)
    assert model.count_params() == convolutions + 4 * (16 + 32 + 64 + 128) + 129 * 4


def test_pixel_statistics_equal_numpy() -> None:
    images = np.random.default_rng(0).normal(size=(3, *SIZE, 1)).astype(np.float32)
    found = PixelStatistics()(images).numpy()
    for image, row in zip(images[..., 0], found, strict=True):
        levels = np.percentile(image, PERCENTILES, method="nearest")
        np.testing.assert_allclose(row[: len(PERCENTILES)], levels, atol=0.02)
        steps = [np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1)]
        expected = [image.mean(), image.std(), *steps]
        np.testing.assert_allclose(row[len(PERCENTILES) :], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [SIZE, (64, 40), (80, 48)])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_has_finite_logits_of_any_size_and_batch(
    name: str, size: tuple[int, int]
) -> None:
    model = NETWORKS[name](size, 3, momentum=0.9)
    images = tf.random.stateless_uniform([5, *size, 1], [1, 2], -1, 1)
    logits = model(images, training=False)
    assert logits.shape == (5, 3)
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(model(images[:1], training=False), logits[:1], atol=1e-4)


def test_noise_has_its_size_and_depends_on_the_step_alone() -> None:
    plain = tf.data.Dataset.from_tensors((tf.zeros([8, *SIZE, 1]), tf.zeros([8]))).repeat(3)
    noisy = [x.numpy() for x, _ in with_noise(plain, 4.0, seed=5)]
    assert noisy[0].std() * 106 == pytest.approx(4, rel=0.02)
    assert abs(noisy[0].mean() * 106) < 0.1
    later = [x.numpy() for x, _ in with_noise(plain, 4.0, seed=5, start=1)]
    np.testing.assert_array_equal(later[0], noisy[1])
    assert (noisy[0] != noisy[1]).any()
    assert with_noise(plain, 0.0, seed=5) is plain
