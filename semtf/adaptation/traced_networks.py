"""A network whose steps are traced, for the next case: tracing takes longer than an epoch."""

import dataclasses
from typing import Any

import tensorflow as tf

from semtf.adaptation.gan import GAN
from semtf.config import AdaptationConfig, ImageConfig

_kept: dict[tuple[Any, ...], GAN] = {}


def with_traces(network: GAN, image: ImageConfig) -> GAN:
    """The network, in the place of one of the same kind that was `keep`-ed, if there is one.

    Args:
        network: new and compiled.
        image: size of its images.
    """
    # Taken out, so that two trainings of one process never share it.
    kept = _kept.pop(_key(network, image), None)
    if kept is None:
        return network
    kept.become(network)
    return kept


def keep(network: GAN, image: ImageConfig) -> None:
    """Give a network away, that nothing else uses from now on; only the last one is kept."""
    _kept.clear()
    _kept[_key(network, image)] = network


def _key(network: GAN, image: ImageConfig) -> tuple[Any, ...]:
    """What a trace depends on: kind, sizes, settings but for the rates, and the strategy."""
    neutral = AdaptationConfig()
    config = dataclasses.replace(
        network.config, learning_rate=neutral.learning_rate, critic_rate=neutral.critic_rate
    )
    strategy: tf.distribute.Strategy = network.distribute_strategy
    return type(network), image, config, strategy
