"""The start of a training: before any critic, generators learn what a cheap adapter makes.

New generators would find the identity by adversarial training, which takes a quarter of all its
steps. `MomentMatching` gives them a better start than the identity, within seconds.
"""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from semtf.adaptation import networks
from semtf.adaptation.gan import GAN
from semtf.adaptation.statistical_adapters import MomentMatching
from semtf.config import ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.network_scale import FULL_SCALE
from semtf.data.pipelines import to_grey, to_network
from semtf.progress import progress

RATE = 1e-3

Batch = tuple[tf.Tensor, tf.Tensor]
Step = Callable[[tf.Tensor], tf.Tensor]


def warm_up(
    network: GAN, simulator: SimulatorSet, fab: FabSet, image: ImageConfig, batches: Iterable[Batch]
) -> None:
    """Train each generator of a new network on the moment-matched images, with an L1 loss.

    It is done on copies outside of the network's strategy, so that all numbers of replicas start
    alike.

    Args:
        network: new.
        simulator: the pairs.
        fab: the fab's images of the case.
        image: size of the images.
        batches: of both domains, in [−1, 1]; the first ``config.batch`` images of each are used.
    """
    config = network.config
    forth = MomentMatching.from_images(simulator, fab, config)
    source_mean, source_std, target_mean, target_std = forth.arrays
    back = MomentMatching(target_mean, target_std, source_mean, source_std)
    copies = [networks.generator(image, config, model.name) for model in network.generators]
    for copy, model in zip(copies, network.generators, strict=True):
        copy.set_weights(model.get_weights())
    # CUT has no generator back.
    steps = [_step(copy, to) for copy, to in zip(copies, (forth, back), strict=False)]
    with progress(f"{type(network).__name__}, case {fab.case}, warm-up", None) as advance:
        for batch in batches:
            for step, images in zip(steps, batch, strict=False):
                loss = step(images[: config.batch])
            advance(1, f"distance {float(loss):.3f}")
    for copy, model in zip(copies, network.generators, strict=True):
        model.set_weights(copy.get_weights())


def _step(generator: keras.Model, adapter: MomentMatching) -> Step:
    """A step of Adam towards an adapter's images."""
    optimizer = keras.optimizers.Adam(RATE, beta_1=0.5)
    optimizer.build(generator.trainable_variables)

    @tf.function
    def step(images: tf.Tensor) -> tf.Tensor:
        wanted = to_network(tf.clip_by_value(adapter(to_grey(images)), 0, FULL_SCALE))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(generator(images, training=True) - wanted))
        gradients = tape.gradient(loss, generator.trainable_variables)
        optimizer.apply_gradients(zip(gradients, generator.trainable_variables, strict=True))
        return loss

    return step
