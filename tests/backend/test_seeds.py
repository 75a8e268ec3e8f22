"""Random numbers of Keras in both sets: dropout has states, which a checkpoint can hold."""

from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest

from semtf.adaptation.networks import critic
from semtf.backend.seeds import random_states, seed_initial_weights
from semtf.classification.baselines import small_convnet
from semtf.classification.efficientnet import efficientnet_b0
from semtf.config import AdaptationConfig, ImageConfig

NETWORKS = {
    "critic": partial(critic, ImageConfig(24, 16), AdaptationConfig(width=4, dropout=0.5), "d"),
    "small": partial(small_convnet, (24, 16), 3, dropout=0.5),
    "efficientnet_b0": partial(efficientnet_b0, (32, 32), 3, dropout=0.5, drop_connect=0.5),
}


def drawn(model: keras.Model) -> np.ndarray:
    """What a network makes of an image in training, twice in one step."""
    image = np.random.default_rng(0).uniform(-1, 1, (8, *model.input_shape[1:]))
    return np.stack([np.asarray(model(image, training=True)) for _ in range(2)])


@pytest.mark.parametrize("build", NETWORKS.values(), ids=list(NETWORKS))
def test_dropout_begins_alike_and_goes_on_from_its_states(
    build: Callable[[], keras.Model],
) -> None:
    models = []
    for _ in range(2):
        seed_initial_weights(3)
        models.append(build())
    first, second = models
    before = drawn(first)
    assert (before[0] != before[1]).any()
    np.testing.assert_array_equal(drawn(second), before)
    kept = [*first.variables, *random_states([first])]
    values = [np.array(variable) for variable in kept]
    later = drawn(first)
    for variable, value in zip(kept, values, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(drawn(first), later)
