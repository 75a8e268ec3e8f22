"""Networks that take over the traced steps of others train as new ones do."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from semtf.adaptation import traced_networks
from semtf.adaptation.cyclegan import CycleGAN
from semtf.config import AdaptationConfig, ImageConfig

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(warm_up_steps=0, width=4, batch=2, critic_steps=1)


def compiled(config: AdaptationConfig, seed: int, name: str) -> CycleGAN:
    keras.utils.set_random_seed(seed)
    network = CycleGAN(IMAGE, config, seed, name=name)
    network.compile(jit_compile=False)
    return network


def trained(network: CycleGAN) -> list[np.ndarray]:
    images = np.random.default_rng(1).uniform(-1, 1, (2, 4, 24, 16, 1)).astype(np.float32)
    network.fit(tf.data.Dataset.from_tensors(tuple(images)).repeat(2), verbose=0)
    return [np.array(variable) for variable in network.state()]


def test_a_kept_network_goes_on_as_the_new_one() -> None:
    slower = dataclasses.replace(CONFIG, learning_rate=CONFIG.learning_rate / 2, critic_rate=3.0)
    expected = trained(compiled(slower, 7, "alone"))
    first = compiled(CONFIG, 5, "first")
    assert traced_networks.with_traces(first, IMAGE) is first
    trained(first)
    steps = first.train_function
    traced_networks.keep(first, IMAGE)
    second = traced_networks.with_traces(compiled(slower, 7, "second"), IMAGE)
    assert second is first
    assert (second.name, second.config) == ("second", slower)
    for value, right in zip(trained(second), expected, strict=True):
        np.testing.assert_array_equal(value, right)
    assert second.train_function is steps
    second.optimizer.learning_rate = 1.0
    assert float(second.critic_optimizer.learning_rate) == 3.0


def test_other_settings_take_nothing_over_and_a_network_is_taken_once() -> None:
    first = compiled(CONFIG, 5, "first")
    traced_networks.keep(first, IMAGE)
    other = compiled(dataclasses.replace(CONFIG, lambda_gp=1.0), 5, "other")
    assert traced_networks.with_traces(other, IMAGE) is other
    assert traced_networks.with_traces(compiled(CONFIG, 5, "same"), IMAGE) is first
    same = compiled(CONFIG, 5, "same")
    assert traced_networks.with_traces(same, IMAGE) is same
