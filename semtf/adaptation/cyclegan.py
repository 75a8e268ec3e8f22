"""The CycleGAN: two generators and two critics with a custom WGAN-GP training step."""

import keras
import tensorflow as tf

from semtf.adaptation import losses, networks
from semtf.adaptation.gan import GAN
from semtf.config import AdaptationConfig, ImageConfig


class CycleGAN(GAN):
    """Translate images between two unpaired domains (Zhu et al. 2017), trained as WGAN-GP.

    The source is the simulator's microscope, the target the fab's. A batch of ``fit`` is a pair
    of float32 tensors (source, target), each ``[critic_steps · batch, H, W, 1]`` in [−1, 1]: the
    critics take one step on each of its ``critic_steps`` parts, the generators one on the last.
    Part p is every ``critic_steps``-th image from the p-th on, so that the parts of two replicas
    together are the parts of the joint batch.
    """

    logs = ("critic", "penalty", "adversarial", "cycle", "identity")

    def __init__(
        self, image: ImageConfig, config: AdaptationConfig, seed: int, *, name: str = "cyclegan"
    ) -> None:
        super().__init__(name=name)
        self.config = config
        self.to_target = networks.generator(image, config, "to_target")
        self.to_source = networks.generator(image, config, "to_source")
        self.target_critic = networks.critic(image, config, "target_critic")
        self.source_critic = networks.critic(image, config, "source_critic")
        self.prepare(seed)

    @property
    def generators(self) -> tuple[keras.Model, ...]:
        return self.to_target, self.to_source

    @property
    def critics(self) -> tuple[keras.Model, ...]:
        return self.source_critic, self.target_critic

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """``critic_steps`` updates of both critics, then one of both generators."""
        sources, targets = self.parts(data)
        early = self._translate(sources[:-1], targets[:-1])
        with tf.GradientTape() as tape:
            fake_target = self.to_target(sources[-1], training=True)
            fake_source = self.to_source(targets[-1], training=True)
            with tape.stop_recording():
                fakes = [*early, (fake_source, fake_target)]
                for part, (source, target) in enumerate(zip(sources, targets, strict=True)):
                    self.critic_step(part, (source, target), fakes[part])
            loss = self._generator_loss((sources[-1], targets[-1]), (fake_source, fake_target))
            loss = loss / self.replicas()
        variables = self.generator_variables()
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

    def _generator_loss(
        self, real: tuple[tf.Tensor, tf.Tensor], fake: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        (source, target), (fake_source, fake_target) = real, fake
        again_source = self.to_source(fake_target, training=True)
        again_target = self.to_target(fake_source, training=True)
        adversarial = self.adversarial_loss(fake)
        cycle = losses.absolute(source, again_source) + losses.absolute(target, again_target)
        identity = self._identity(real, fake)
        for name, value in zip(self.logs[2:], (adversarial, cycle, identity), strict=True):
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
