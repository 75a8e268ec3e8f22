"""The base of the translation networks: critics, optimizers, random numbers and state."""

import abc
import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import keras
import tensorflow as tf

from semtf.adaptation import losses
from semtf.adaptation.base import Generated
from semtf.adaptation.mean_matching import Floats, with_mean
from semtf.adaptation.optimizers import Optimizers, accepted, pair
from semtf.backend.seeds import random_states
from semtf.config import AdaptationConfig
from semtf.data.images import Gray

STREAMS = 64
Images = Sequence[tf.Tensor]


class GAN(keras.Model, abc.ABC):
    """Generators against critics; the base of `CycleGAN` and `CUT`.

    A subclass makes its networks, the generator from simulator to fab as ``to_target``, calls
    `prepare`, and tells which networks there are.

    Attributes:
        config: networks, losses and schedule.
        step: number of training steps taken so far.
        optimizer: both optimizers as one, for Keras' callbacks, once compiled.
        trackers: the running means of the losses, by name, that ``fit`` logs.
        moving_average: context manager within which the generators hold their moving averages;
            None where none are kept.
    """

    logs: ClassVar[tuple[str, ...]]
    config: AdaptationConfig
    to_target: keras.Model
    moving_average: Callable[[], AbstractContextManager[None]] | None = None

    def prepare(self, seed: int) -> None:
        """Make the step counter and the running means; ``seed`` is that of the penalty."""
        self.step, self.noise_seed = (
            self.add_weight(
                shape=(), dtype="int64", initializer="zeros", trainable=False, name=name
            )
            for name in ("step", "noise_seed")
        )
        self.noise_seed.assign(seed)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.logs}
        self.built = True

    def averaged(self) -> AbstractContextManager[None]:
        """Within the block the generators hold their moving averages, of which one is kept.

        They hold their trained weights where no averages are kept.
        """
        return nullcontext() if self.moving_average is None else self.moving_average()

    @property
    @abc.abstractmethod
    def generators(self) -> tuple[keras.Model, ...]:
        """The networks whose weights are averaged."""

    @functools.cached_property
    def translators(self) -> tuple[Generated, ...]:
        """The generators as adapters, each traced once."""
        return tuple(map(Generated, self.generators))

    def adapted(self, sem: Floats, mean: Floats) -> Gray:
        """Simulator images as a run with these generators would store them, uint8 ``[n, H, W]``.

        Args:
            sem: grey levels ``[n, H, W]``.
            mean: the mean image of the fab, ``[H, W]`` grey levels.
        """
        adapted = self.translators[0].adapt(sem)
        return with_mean(adapted, mean) if self.config.match_mean else adapted

    @property
    @abc.abstractmethod
    def critics(self) -> tuple[keras.Model, ...]:
        """One critic a translated domain."""

    @property
    def heads(self) -> tuple[keras.Model, ...]:
        """Other networks that learn together with the generators."""
        return ()

    @property
    def networks(self) -> tuple[keras.Model, ...]:
        """All networks, each with a name of its own, in a fixed order."""
        return (*self.generators, *self.critics, *self.heads)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Translate source images ``[batch, H, W, 1]`` to the target domain."""
        return self.to_target(inputs, training=training)

    def compile(
        self,
        *,
        generator_optimizer: keras.optimizers.Optimizer | str | None = None,
        critic_optimizer: keras.optimizers.Optimizer | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Choose the optimizers and build their slots.

        Args:
            generator_optimizer: of the generators and heads; the config's Adam where None.
            critic_optimizer: of the critics; the config's Adam where None.
            kwargs: what else `keras.Model.compile` takes: ``run_eagerly``, ``jit_compile``,
                ``steps_per_execution``.

        Raises:
            TypeError: an argument that would do nothing, such as ``optimizer`` or ``loss``.
            ValueError: both optimizers are one object, or one scales losses.
        """
        super().compile(**accepted(type(self).__name__, kwargs))
        self.generator_optimizer, self.critic_optimizer = pair(
            generator_optimizer or self._adam(),
            critic_optimizer or self._adam(self.config.critic_rate),
        )
        self.generator_optimizer.build(self.generator_variables())
        self.critic_optimizer.build(self.critic_variables())
        # A critic's optimizer of one's own follows the schedule as the generators' does.
        ratio = self.config.critic_rate if critic_optimizer is None else 1.0
        self.optimizer = Optimizers(self.generator_optimizer, self.critic_optimizer, ratio)

    def _adam(self, ratio: float = 1.0) -> keras.optimizers.Optimizer:
        config = self.config
        return keras.optimizers.Adam(config.learning_rate * ratio, config.beta_1, config.beta_2)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means that ``fit`` resets at each epoch."""
        return list(self.trackers.values())

    def state(self) -> list[tf.Variable]:
        """Every variable that decides how training goes on, in a fixed order."""
        return [
            *(variable for network in self.networks for variable in network.variables),
            *random_states(self.networks),
            *self.optimizer.variables,
            self.step,
        ]

    def become(self, other: "GAN") -> None:
        """Go on as ``other``, a compiled network of the same kind and settings but for the rates.

        What was traced for this one holds for the other from then on.
        """
        for mine, its in zip(
            [*self.state(), self.noise_seed], [*other.state(), other.noise_seed], strict=True
        ):
            mine.assign(its)
        self.config, self.name = other.config, other.name
        self.optimizer.ratio = other.optimizer.ratio
        self.moving_average = None

    @property
    def name(self) -> str:
        """By which callbacks tell the trainings apart."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    def generator_variables(self) -> list[tf.Variable]:
        """What the generators' optimizer trains."""
        learning = (*self.generators, *self.heads)
        return [variable for network in learning for variable in network.trainable_variables]

    def critic_variables(self) -> list[tf.Variable]:
        """What the critics' optimizer trains."""
        return [variable for critic in self.critics for variable in critic.trainable_variables]

    def parts(self, data: tuple[tf.Tensor, tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The images of each critic step, of both domains, in Keras' ``floatx``."""
        steps, dtype = self.config.critic_steps, keras.backend.floatx()
        source, target = (tf.cast(images, dtype) for images in data)
        return [source[p::steps] for p in range(steps)], [target[p::steps] for p in range(steps)]

    def critic_step(self, part: int, real: Images, fake: Images) -> None:
        """One update of all critics on the images of their domains; ``part`` of the batch."""
        with tf.GradientTape() as tape:
            loss = 0.0
            for domain, critic in enumerate(self.critics):
                stream = len(self.critics) * part + domain
                wasserstein, penalty = self._critic_loss(
                    critic, real[domain], fake[domain], self.uniform(stream, real[domain])
                )
                self.trackers["critic"].update_state(wasserstein)
                self.trackers["penalty"].update_state(penalty)
                loss += wasserstein + self.config.lambda_gp * penalty
            loss = loss / self.replicas()
        variables = self.critic_variables()
        gradients = tape.gradient(loss, variables)
        self.critic_optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def _critic_loss(
        self, critic: keras.Model, real: tf.Tensor, fake: tf.Tensor, mix: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scores = critic(tf.concat([real, fake], 0), training=True)
        real_scores, fake_scores = tf.split(scores, 2)
        if self.config.loss == "lsgan":
            loss = losses.least_squares_critic(real_scores, fake_scores)
            return loss, tf.zeros_like(loss)
        penalty = losses.gradient_penalty(
            lambda images: critic(images, training=True), real, fake, mix
        )
        return losses.wasserstein_critic(real_scores, fake_scores), penalty

    def adversarial_loss(self, fake: Images) -> tf.Tensor:
        """What the critics make the generators of these fakes minimise."""
        score = {
            "wgan-gp": losses.wasserstein_generator,
            "lsgan": losses.least_squares_generator,
        }[self.config.loss]
        pairs = zip(self.critics, fake, strict=True)
        return tf.add_n([score(critic(images, training=True)) for critic, images in pairs])

    def uniform(self, stream: int, images: tf.Tensor) -> tf.Tensor:
        """Uniform numbers, ``[batch, 1, 1, 1]``: this replica's part of those of the joint batch.

        They depend on seed, step and stream only, so that training can go on exactly.
        """
        context = tf.distribute.get_replica_context()
        batch = tf.shape(images)[0]
        seed = self.noise(stream)
        shape = [batch * context.num_replicas_in_sync, 1, 1, 1]
        joint = tf.random.stateless_uniform(shape, seed, dtype=images.dtype)
        start = tf.cast(context.replica_id_in_sync_group, tf.int32) * batch
        return joint[start : start + batch]

    def noise(self, stream: int) -> tf.Tensor:
        """The seed ``[2]`` of one of up to `STREAMS` streams of random numbers of this step."""
        step, seed = (tf.cast(number, tf.int32) for number in (self.step, self.noise_seed))
        return tf.stack([step * STREAMS + stream, seed])

    def replicas(self) -> float:
        """Gradients are summed over replicas; dividing the loss makes that a mean."""
        return float(tf.distribute.get_strategy().num_replicas_in_sync)
