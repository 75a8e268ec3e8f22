"""The encoder-decoder that the recipe tried first: a small U-Net from a SEM image to its depth.

It is trained on the keys of a case's pairs with their depth maps, as they are or with the fab's
noise. Its batch normalisation can take the statistics of the fab's images in place of those of the
keys: once for all (AdaBN; Li et al., 2016), or in each batch, whose images are in random order and
stand among images of the fab.
"""

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from semtf.benchmark.estimates import Estimates, Estimator, Images, in_batches
from semtf.benchmark.keys import keys_of, network_folder, prepared
from semtf.benchmark.training import FINISHED, Keys
from semtf.benchmark.world import CaseWorld, MissingPartError
from semtf.checkpoint import save_weights
from semtf.data.network_scale import FULL_SCALE
from semtf.data.pipelines import Augmentation, to_network
from semtf.noise.model import NoiseModel
from semtf.progress import progress

WIDTHS = (16, 32, 64)
STEPS = 500
BATCH = 32
LEARNING_RATE = 2e-3
SHIFT = 2
STATISTICS_BATCHES = 16
WEIGHTS = "unet.weights.h5"


def unet(shape: tuple[int, int]) -> keras.Model:
    """The network: ``[n, H, W, 1]`` in [−1, 1] to depth below the plate, over 212, one channel.

    Two 3×3 convolutions a level, batch normalisation after each, maxima of 2×2 on the way down,
    nearest neighbours on the way up, the level's own features beside them. H and W must be
    multiples of 4.
    """
    inputs = keras.Input((*shape, 1))
    x, skips = inputs, []
    for width in WIDTHS[:-1]:
        x = _level(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _level(x, WIDTHS[-1])
    for width, skip in zip(WIDTHS[-2::-1], skips[::-1], strict=True):
        x = _level(layers.Concatenate()([layers.UpSampling2D()(x), skip]), width)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="relu")(x), name="unet")


def _level(x: tf.Tensor, width: int) -> tf.Tensor:
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return x


def encoder_decoder(case: CaseWorld, keys: str, name: str) -> Estimator:
    """The estimator of a name such as ``unet-noise-adabn``, trained where it is not there yet."""
    _, kind, *statistics = name.split("-")
    network, plate = _trained(case, keys, kind), case.plate
    if statistics == ["shuffled"]:
        return _shuffled(case, network)
    if statistics == ["adabn"]:
        take_statistics(network, _fab_batches(case))

    def depth(images: tf.Tensor) -> tf.Tensor:
        return _depth(network(to_network(images), training=False), plate)

    graph = tf.function(depth, input_signature=[_spec(case)], autograph=False)
    return lambda images, _: Estimates(in_batches(graph, images))


def take_statistics(network: keras.Model, batches: list[npt.NDArray[Any]]) -> None:
    """Replace all statistics of batch normalisation by the means over batches ``[n, H, W]``.

    Within a batch each layer works with that batch's own statistics.
    """
    normalising = [x for x in network.layers if isinstance(x, layers.BatchNormalization)]
    before = [layer.momentum for layer in normalising]
    for count, batch in enumerate(batches):
        for layer in normalising:
            layer.momentum = count / (count + 1)
        network(to_network(tf.constant(batch)), training=True)
    for layer, momentum in zip(normalising, before, strict=True):
        layer.momentum = momentum


def _shuffled(case: CaseWorld, network: keras.Model) -> Estimator:
    """Each batch is normalised by its own statistics; the fab's images fill up the last one."""
    fab = np.concatenate(_fab_batches(case))

    def estimate(images: Images, _: Images) -> Estimates:
        generator = np.random.default_rng(case.config.seed)
        order = generator.permutation(len(images))
        found = np.empty(images.shape, np.float32)
        half = BATCH // 2
        for start in range(0, len(order), half):
            chosen = order[start : start + half]
            others = fab[generator.integers(0, len(fab), BATCH - len(chosen))]
            batch = np.concatenate([images[chosen], others])
            made = network(to_network(tf.constant(batch)), training=True)
            found[chosen] = _depth(made, case.plate).numpy()[: len(chosen)]
        return Estimates(found)

    return estimate


def _fab_batches(case: CaseWorld) -> list[npt.NDArray[Any]]:
    generator = np.random.default_rng(case.config.seed)
    order = generator.permutation(len(case.fab))[: STATISTICS_BATCHES * BATCH]
    return [case.fab.images[order[s : s + BATCH]] for s in range(0, len(order), BATCH)]


def _depth(below: tf.Tensor, plate: int) -> tf.Tensor:
    return float(plate) - FULL_SCALE * below[..., 0]


def _spec(case: CaseWorld) -> tf.TensorSpec:
    return tf.TensorSpec([None, *case.config.image.shape], tf.float32)


def _trained(case: CaseWorld, keys: str, kind: str) -> keras.Model:
    """The network of a case, read where it was trained before."""
    folder = network_folder(case, f"unet-{kind}") / keys
    if case.world.settings.pairs is not None:
        folder = folder / f"pairs_{len(case.simulator)}"
    keras.utils.set_random_seed(case.config.seed)
    network = unet(case.config.image.shape)
    if (folder / FINISHED).exists():
        network.load_weights(folder / WEIGHTS)
        case.saved += float((folder / FINISHED).read_text(encoding="utf-8"))
        return network
    noise = None
    if kind == "noise":
        noise = prepared(case, keys).noise
        if noise is None:
            raise MissingPartError(f"no noise was found for the keys {keys}")
    began = time.perf_counter()
    train(network, case, keys_of(case, keys), noise)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network, folder / WEIGHTS)
    (folder / FINISHED).write_text(f"{time.perf_counter() - began:.1f}\n", encoding="utf-8")
    return network


def train(network: keras.Model, case: CaseWorld, keys: Keys, noise: NoiseModel | None) -> None:
    """Train a network on keys, each step on a batch in random shifts, with fresh noise."""
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS)
    network.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    with progress(f"Encoder-decoder, case {case.number}", STEPS) as advance:
        for images, below in _batches(case, keys, noise):
            loss = network.train_on_batch(images, below)
            advance(1, f"loss {float(np.ravel(loss)[0]):.4f}")


def _batches(
    case: CaseWorld, keys: Keys, noise: NoiseModel | None
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    generator = np.random.default_rng(case.config.seed)
    moved = Augmentation(shift=SHIFT)
    for step in range(STEPS):
        chosen = generator.integers(0, len(keys), BATCH)
        pair = (keys[chosen], np.asarray(case.simulator.depth[chosen]))
        sem, depth = moved(pair, (case.config.seed, step))
        images = sem if noise is None else noise.added(sem, generator)
        below = (np.float32(case.plate) - depth.astype(np.float32)) / np.float32(FULL_SCALE)
        yield to_network(tf.constant(images)), tf.constant(below[..., None])
