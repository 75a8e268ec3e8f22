"""The networks: the recipe's sizes counted by hand, shapes and padding."""

import keras
import numpy as np
import pytest

from semtf.adaptation import networks
from semtf.config import AdaptationConfig, ImageConfig
from semtf.presets import preset

RECIPE = preset("challenge").adaptation
IMAGE = ImageConfig()


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_generator_of_the_recipe() -> None:
    # Convolutions before a batch normalisation have no bias; the last one has.
    first = 7 * 7 * 1 * 64 + 2 * 64
    down = 4 * 4 * 64 * 128 + 2 * 128
    residual = 2 * (3 * 3 * 128 * 128 + 2 * 128)
    up = 4 * 4 * 128 * 64 + 2 * 64
    last = 7 * 7 * 64 * 1 + 1
    expected = first + down + 2 * residual + up + last
    assert trainable(networks.generator(IMAGE, RECIPE, "g")) == expected == 859_777


def test_critic_of_the_recipe() -> None:
    first = 4 * 4 * 1 * 64 + 64
    second = 4 * 4 * 64 * 128 + 128 + 2 * 128
    third = 4 * 4 * 128 * 256 + 256 + 2 * 256
    score = 9 * 6 * 256 * 1 + 1
    model = networks.critic(IMAGE, RECIPE, "c")
    assert trainable(model) == first + second + third + score == 671_425
    assert model.layers[-2].input.shape[1:] == (9, 6, 256)


@pytest.mark.parametrize("size", [IMAGE.shape, (64, 40), (80, 48), (16, 16)])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("padding", ["zero", "replicate"])
def test_shapes_and_range(size: tuple[int, int], norm: str, padding: str) -> None:
    image = ImageConfig(*size)
    config = AdaptationConfig(width=4, norm=norm, critic_norm=norm, padding=padding)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *size, 1)).astype(np.float32)
    translated = networks.generator(image, config, "g")(images)
    assert translated.shape == images.shape
    assert np.abs(translated).max() <= 1
    assert networks.critic(image, config, "c")(images).shape == (2,)
