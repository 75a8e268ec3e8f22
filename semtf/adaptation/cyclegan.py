"""The CycleGAN: two generators and two critics with a custom WGAN-GP training step."""

import keras
import tensorflow as tf

from semtf.adaptation import losses, networks
from semtf.config import AdaptationConfig, ImageConfig

STREAMS = 64
LOGS = ("critic", "penalty", "adversarial", "cycle", "identity")


class CycleGAN(keras.Model):
    """Translate images between two unpaired domains (Zhu et al. 2017), trained as WGAN-GP.

    The source is the simulator's microscope, the target the fab's. A batch of ``fit`` is a pair
    of float32 tensors (source, target), each ``[critic_steps · batch, H, W, 1]`` in [−1, 1]: the
    critics take one step on each of its ``critic_steps`` parts, the generators one on the last.
    Part p is every ``critic_steps``-th image from the p-th on, so that the parts of two replicas
    together are the parts of the joint batch.
    """

    def __init__(self, image: ImageConfig, config: AdaptationConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.to_target = networks.generator(image, config, "to_target")
        self.to_source = networks.generator(image, config, "to_source")
        self.target_critic = networks.critic(image, config, "target_critic")
        self.source_critic = networks.critic(image, config, "source_critic")
        self.step = self.add_weight(
            shape=(), dtype="int64", initializer="zeros", trainable=False, name="step"
        )
        self.noise_seed = seed
        self.trackers = {name: keras.metrics.Mean(name=name) for name in LOGS}
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Translate source images ``[batch, H, W, 1]`` to the target domain."""
        return self.to_target(inputs, training=training)

    def compile(self, **kwargs: object) -> None:
        """Make one Adam for both generators and one for both critics, and build their slots."""
        super().compile(**kwargs)
        config = self.config
        self.generator_optimizer, self.critic_optimizer = (
            keras.optimizers.Adam(config.learning_rate, config.beta_1, config.beta_2)
            for _ in range(2)
        )
        self.generator_optimizer.build(self._generator_variables())
        self.critic_optimizer.build(self._critic_variables())

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means that ``fit`` resets at each epoch."""
        return list(self.trackers.values())

    def state(self) -> list[tf.Variable]:
        """Every variable that decides how training goes on, in a fixed order."""
        networks_ = (self.to_target, self.to_source, self.target_critic, self.source_critic)
        return [
            *(variable for network in networks_ for variable in network.variables),
            *_variables(self.generator_optimizer),
            *_variables(self.critic_optimizer),
            self.step,
        ]

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """``critic_steps`` updates of both critics, then one of both generators."""
        steps = self.config.critic_steps
        sources, targets = ([images[p::steps] for p in range(steps)] for images in data)
        early = self._translate(sources[:-1], targets[:-1])
        with tf.GradientTape() as tape:
            fake_target = self.to_target(sources[-1], training=True)
            fake_source = self.to_source(targets[-1], training=True)
            with tape.stop_recording():
                fakes = [*early, (fake_source, fake_target)]
                for part, (source, target) in enumerate(zip(sources, targets, strict=True)):
                    self._critic_step(part, (source, target), fakes[part])
            loss = self._generator_loss((sources[-1], targets[-1]), (fake_source, fake_target))
            loss = loss / self._replicas()
        variables = self._generator_variables()
        gradients = tape.gradient(loss, variables)
        self.generator_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.step.assign_add(1)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _translate(
        self, sources: list[tf.Tensor], targets: list[tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """The fakes of the first critic steps, in one pass: the generators do not change there."""
        parts = len(sources)
        if parts == 0:
            return []
        fake_targets = tf.split(self.to_target(tf.concat(sources, 0), training=True), parts)
        fake_sources = tf.split(self.to_source(tf.concat(targets, 0), training=True), parts)
        return list(zip(fake_sources, fake_targets, strict=True))

    def _critic_step(
        self, part: int, real: tuple[tf.Tensor, tf.Tensor], fake: tuple[tf.Tensor, tf.Tensor]
    ) -> None:
        critics = (self.source_critic, self.target_critic)
        with tf.GradientTape() as tape:
            loss = 0.0
            for domain, critic in enumerate(critics):
                wasserstein, penalty = self._critic_loss(
                    critic, real[domain], fake[domain], self._mix(2 * part + domain, real[domain])
                )
                self.trackers["critic"].update_state(wasserstein)
                self.trackers["penalty"].update_state(penalty)
                loss += wasserstein + self.config.lambda_gp * penalty
            loss = loss / self._replicas()
        variables = self._critic_variables()
        gradients = tape.gradient(loss, variables)
        self.critic_optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def _critic_loss(
        self, critic: keras.Model, real: tf.Tensor, fake: tf.Tensor, mix: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        scores = critic(tf.concat([real, fake], 0), training=True)
        real_scores, fake_scores = tf.split(scores, 2)
        if self.config.loss == "lsgan":
            return losses.least_squares_critic(real_scores, fake_scores), tf.constant(0.0)
        penalty = losses.gradient_penalty(
            lambda images: critic(images, training=True), real, fake, mix
        )
        return losses.wasserstein_critic(real_scores, fake_scores), penalty

    def _generator_loss(
        self, real: tuple[tf.Tensor, tf.Tensor], fake: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        (source, target), (fake_source, fake_target) = real, fake
        again_source = self.to_source(fake_target, training=True)
        again_target = self.to_target(fake_source, training=True)
        score = {
            "wgan-gp": losses.wasserstein_generator,
            "lsgan": losses.least_squares_generator,
        }[self.config.loss]
        adversarial = score(self.target_critic(fake_target, training=True)) + score(
            self.source_critic(fake_source, training=True)
        )
        cycle = losses.absolute(source, again_source) + losses.absolute(target, again_target)
        identity = self._identity(real, fake)
        for name, value in zip(LOGS[2:], (adversarial, cycle, identity), strict=True):
            self.trackers[name].update_state(value)
        return (
            adversarial + self.config.lambda_cycle * cycle + self.config.lambda_identity * identity
        )

    def _identity(
        self, real: tuple[tf.Tensor, tf.Tensor], fake: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        """``"input"``: generators keep what they are given; ``"target"``: what is right already."""
        (source, target), (fake_source, fake_target) = real, fake
        if self.config.identity == "input":
            return losses.absolute(source, fake_target) + losses.absolute(target, fake_source)
        same_target = self.to_target(target, training=True)
        same_source = self.to_source(source, training=True)
        return losses.absolute(target, same_target) + losses.absolute(source, same_source)

    def _mix(self, stream: int, images: tf.Tensor) -> tf.Tensor:
        """Uniform numbers, ``[batch, 1, 1, 1]``: this replica's part of those of the joint batch.

        They depend on seed, step and stream only, so that training can go on exactly.
        """
        context = tf.distribute.get_replica_context()
        batch = tf.shape(images)[0]
        seed = tf.stack([tf.cast(self.step, tf.int32) * STREAMS + stream, self.noise_seed])
        joint = tf.random.stateless_uniform([batch * context.num_replicas_in_sync, 1, 1, 1], seed)
        start = tf.cast(context.replica_id_in_sync_group, tf.int32) * batch
        return joint[start : start + batch]

    def _replicas(self) -> float:
        """Gradients are summed over replicas; dividing the loss makes that a mean."""
        return float(tf.distribute.get_strategy().num_replicas_in_sync)

    def _generator_variables(self) -> list[tf.Variable]:
        return self.to_target.trainable_variables + self.to_source.trainable_variables

    def _critic_variables(self) -> list[tf.Variable]:
        return self.source_critic.trainable_variables + self.target_critic.trainable_variables


def _variables(optimizer: keras.optimizers.Optimizer) -> list[tf.Variable]:
    """An optimizer's variables: a method in some Keras 2 releases, a property since."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)
