"""Random numbers of Keras: the seeds of initial weights, and the states of dropout."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from semtf.backend.checked_keras import keras
from semtf.backend.installed import is_classic


def seed_initial_weights(seed: int) -> None:
    """Seed what new layers draw, and not TensorFlow: that would compile every traced step anew."""
    random.seed(seed)
    if is_classic():
        # Keras 2 draws from a generator of its own, once `keras.utils.set_random_seed` made it.
        generator: Any = keras.src.backend._SEED_GENERATOR
        generator.generator = random.Random(seed)  # noqa: S311 - no secret is drawn


@contextlib.contextmanager
def kept_randomness() -> Iterator[None]:
    """Within this, and in functions that it decorates, new layers have states of `random_states`.

    Without it dropout of Keras 2 has the numbers that TensorFlow drew last, which no seed of ours
    sets and no checkpoint holds.
    """
    switch: Any = keras.backend.experimental if is_classic() else None
    if switch is None or switch.is_tf_random_generator_enabled():
        yield
        return
    switch.enable_tf_random_generator()
    try:
        yield
    finally:
        switch.disable_tf_random_generator()


def random_states(models: Sequence[keras.Model]) -> list[tf.Variable]:
    """The states of dropout that are not among the models' own variables, in a fixed order."""
    if not is_classic():
        return []
    layers = (layer for model in models for layer in model._flatten_layers(recursive=True))
    owners = (getattr(layer, "_random_generator", None) for layer in layers)
    generators = (getattr(owner, "_generator", None) for owner in owners)
    return [generator.state for generator in generators if generator is not None]
