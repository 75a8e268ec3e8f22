"""The two optimizers of an adversarial model, and the one that Keras' callbacks look for."""

from typing import Any

import keras
import tensorflow as tf

from semtf.backend import optimizers

REFUSED = {
    "optimizer": "pass generator_optimizer= and critic_optimizer=",
    "loss": "the losses are those of AdaptationConfig.loss and .identity",
    "loss_weights": "weights are AdaptationConfig.lambda_gp, .lambda_cycle, .lambda_identity "
    "and .lambda_nce",
    "metrics": "the running means of the losses are shown; judge images in a callback",
    "weighted_metrics": "the running means of the losses are shown; judge images in a callback",
}
"""Arguments of ``compile`` that an adversarial training cannot follow, and what to do instead."""


def accepted(model: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``compile`` of a model without those that would do nothing.

    Raises:
        TypeError: such an argument is given, and is not None.
    """
    for name, way in REFUSED.items():
        if arguments.get(name) is not None:
            raise TypeError(f"{model}.compile takes no {name}=: {way}")
    return {name: value for name, value in arguments.items() if name not in REFUSED}


def pair(generator: Any, critic: Any) -> tuple[keras.optimizers.Optimizer, ...]:
    """The generators' and the critics' optimizer, each given as whatever Keras takes for one.

    Raises:
        ValueError: both are one object, or one scales losses, which are not scaled here.
    """
    if generator is critic and not isinstance(generator, str):
        raise ValueError(
            "generator_optimizer= and critic_optimizer= are one object, which keeps the slots of "
            "one of them only: make two"
        )
    found = keras.optimizers.get(generator), keras.optimizers.get(critic)
    for optimizer in found:
        if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
            raise ValueError(
                "LossScaleOptimizer: losses are not scaled here; pass the optimizer inside it, and "
                "compute in float32 or mixed_bfloat16"
            )
    return found


class Optimizers:
    """Both optimizers as one, as far as Keras and its callbacks look at ``model.optimizer``.

    `keras.callbacks.LearningRateScheduler` and `keras.callbacks.ReduceLROnPlateau` read and set
    ``learning_rate``: it is read from the generators' optimizer and set in both, the critics'
    ``ratio`` times as large.
    """

    def __init__(
        self,
        generator: keras.optimizers.Optimizer,
        critic: keras.optimizers.Optimizer,
        ratio: float = 1.0,
    ) -> None:
        self.generator = generator
        self.critic = critic
        self.ratio = ratio

    @property
    def learning_rate(self) -> tf.Variable:
        """The generators' learning rate; setting it sets the critics' in proportion."""
        return self.generator.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self.generator.learning_rate = rate
        self.critic.learning_rate = rate * self.ratio

    @property
    def lr(self) -> optimizers.Rate:
        """The same, for the callbacks of Keras 2."""
        return optimizers.Rate(self)

    @property
    def iterations(self) -> tf.Variable:
        """How many updates the generators have taken."""
        return self.generator.iterations

    @property
    def built(self) -> bool:
        """Whether both have their slots."""
        return bool(self.generator.built and self.critic.built)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables of both, the generators' first."""
        return [*optimizers.variables(self.generator), *optimizers.variables(self.critic)]
