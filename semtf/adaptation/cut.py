"""CUT: contrastive unpaired translation with one generator and one critic."""

from collections.abc import Iterable

import keras
import tensorflow as tf
from keras import layers

from semtf.adaptation import losses, networks
from semtf.adaptation.gan import GAN
from semtf.config import AdaptationConfig, ImageConfig

PATCH_STREAM = 32
"""First stream of the random numbers that choose patches; the penalty uses those before."""


class CUT(GAN):
    """Translate simulator images to the fab's domain (Park et al. 2020).

    There is no generator back and no cycle. A contrast (PatchNCE) keeps the hole where it is: a
    patch of the translated image must be recognised, by its features in the generator's own
    encoder, among other patches of the image that it was made from. Features come from the image
    itself, both convolutions and every residual block; each layer has a head of two dense layers.

    Critic, optimizers and batches of ``fit`` are those of `CycleGAN`.
    """

    logs = ("critic", "penalty", "adversarial", "contrast")

    def __init__(
        self, image: ImageConfig, config: AdaptationConfig, seed: int, *, name: str = "cut"
    ) -> None:
        super().__init__(name=name)
        self.config = config
        self.to_target = networks.generator(image, config, "to_target")
        self.target_critic = networks.critic(image, config, "target_critic")
        features = encoded(self.to_target)
        inputs, output = self.to_target.inputs[0], self.to_target.outputs[0]
        self.encoder = keras.Model(inputs, features, name="encoder")
        self.tapped = keras.Model(inputs, [*features, output], name="tapped")
        self.patch_heads = heads([f.shape[-1] for f in features], config.nce_features)
        self.prepare(seed)

    @property
    def generators(self) -> tuple[keras.Model, ...]:
        return (self.to_target,)

    @property
    def critics(self) -> tuple[keras.Model, ...]:
        return (self.target_critic,)

    @property
    def heads(self) -> tuple[keras.Model, ...]:
        return (self.patch_heads,)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """``critic_steps`` updates of the critic, then one of the generator and the heads."""
        steps = self.config.critic_steps
        sources, targets = self.parts(data)
        early = (
            tf.split(self.to_target(tf.concat(sources[:-1], 0), training=True), steps - 1)
            if steps > 1
            else []
        )
        identity = self.config.nce_identity
        real = tf.concat([sources[-1], targets[-1]], 0) if identity else sources[-1]
        with tf.GradientTape() as tape:
            *features, fakes = self.tapped(real, training=True)
            fake = fakes[: tf.shape(sources[-1])[0]]
            with tape.stop_recording():
                for part, images in enumerate([*early, fake]):
                    self.critic_step(part, (targets[part],), (images,))
            loss = self._generator_loss(features, fakes, fake) / self.replicas()
        variables = self.generator_variables()
        gradients = tape.gradient(loss, variables)
        self.generator_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.step.assign_add(1)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _generator_loss(
        self, features: list[tf.Tensor], fakes: tf.Tensor, fake: tf.Tensor
    ) -> tf.Tensor:
        """The adversarial loss, and the contrast averaged over layers and summed over domains."""
        adversarial = self.adversarial_loss((fake,))
        contrast = self.contrast(features, self.encoder(fakes, training=True))
        contrast *= 2.0 if self.config.nce_identity else 1.0
        self.trackers["adversarial"].update_state(adversarial)
        self.trackers["contrast"].update_state(contrast)
        return adversarial + self.config.lambda_nce * contrast

    def contrast(self, source: list[tf.Tensor], translated: list[tf.Tensor]) -> tf.Tensor:
        """PatchNCE between the features of images and of their translations.

        Args:
            source: the images' features in each layer, ``[batch, rows, columns, channels]``; they
                get no gradient.
            translated: those of the translations.

        Returns:
            The mean over images, patches and layers.
        """
        indices = [self._patch_indices(layer, tensor) for layer, tensor in enumerate(source)]
        keys = self.patch_heads(_patches(map(tf.stop_gradient, source), indices))
        queries = self.patch_heads(_patches(translated, indices))
        contrasts = [
            losses.patch_nce(query, tf.stop_gradient(key), self.config.nce_temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        return tf.add_n(contrasts) / len(contrasts)

    def _patch_indices(self, layer: int, features: tf.Tensor) -> tf.Tensor:
        """Indices of different pixels in a layer's flattened images, the same in all of them.

        They are drawn anew in each step.
        """
        count = features.shape[1] * features.shape[2]
        draws = tf.random.stateless_uniform([count], self.noise(PATCH_STREAM + layer))
        return tf.math.top_k(draws, min(self.config.nce_patches, count)).indices


def encoded(generator: keras.Model) -> list[tf.Tensor]:
    """The image of a generator, and the outputs of both convolutions and all residual blocks."""
    rectified = [layer.output for layer in generator.layers if isinstance(layer, layers.ReLU)]
    residual = [layer.output for layer in generator.layers if isinstance(layer, layers.Add)]
    return [generator.inputs[0], *rectified[:2], *residual]


def heads(channels: list[int], features: int) -> keras.Model:
    """The model of two dense layers for each layer of the encoder.

    It maps ``[batch, patches, channels]`` of each to unit vectors ``[batch, patches, features]``.
    """
    inputs = [keras.Input((None, count)) for count in channels]
    hidden = [layers.Dense(features, activation="relu")(x) for x in inputs]
    outputs = [layers.Dense(features)(x) for x in hidden]
    unit = layers.UnitNormalization(axis=-1, dtype=keras.backend.floatx())
    return keras.Model(inputs, [unit(x) for x in outputs], name="patch_heads")


def _patches(features: Iterable[tf.Tensor], indices: list[tf.Tensor]) -> list[tf.Tensor]:
    """The features of chosen pixels, ``[batch, patches, channels]`` of each layer."""
    flat = (tf.reshape(f, [-1, f.shape[1] * f.shape[2], f.shape[3]]) for f in features)
    return [tf.gather(f, chosen, axis=1) for f, chosen in zip(flat, indices, strict=True)]
