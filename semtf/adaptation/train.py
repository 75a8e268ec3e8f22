"""Train the CycleGAN of one case, and translate simulator images with it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation import networks
from semtf.adaptation.adversarial import Adversarial
from semtf.adaptation.callbacks import CHECKPOINT, Checkpoint, Halvings, MovingAverage, Report
from semtf.adaptation.cyclegan import CycleGAN
from semtf.config import AdaptationConfig, ImageConfig, Precision
from semtf.data.dataset import FabSet, SimulatorSet
from semtf.data.images import from_network, to_network
from semtf.data.pipelines import unpaired
from semtf.errors import InputError
from semtf.progress import progress

HISTORY = "history.csv"


def train(
    simulator: SimulatorSet,
    fab: FabSet,
    image: ImageConfig,
    config: AdaptationConfig,
    *,
    folder: Path,
    seed: int,
    warm_start: Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    kind: type[Adversarial] = CycleGAN,
) -> Adversarial:
    """Train the networks of one case; goes on from the folder's checkpoint where it has one.

    Args:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: networks, losses and schedule; ``other_epochs`` count after a warm start.
        folder: where the weights of the networks and ``history.csv`` go.
        seed: of the initial weights, the order of the images and the gradient penalty.
        warm_start: folder of another case to start from.
        strategy: where to train; the current strategy where None.
        kind: `CycleGAN` or `CUT`.

    Returns:
        The trained networks; the generators hold their moving averages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    with (strategy or tf.distribute.get_strategy()).scope(), _precision(config.precision):
        network = kind(image, config, seed)
        network.compile(jit_compile=config.xla)
    if warm_start is not None:
        load(network, warm_start)
    epochs = config.first_epochs if warm_start is None else config.other_epochs
    fit(network, simulator, fab, epochs=epochs, folder=folder, seed=seed, name=f"case {fab.case}")
    for part in network.networks:
        part.save_weights(folder / f"{part.name}.weights.h5")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return network


def fit(
    network: Adversarial,
    simulator: SimulatorSet,
    fab: FabSet,
    *,
    epochs: int,
    folder: Path,
    seed: int,
    name: str,
) -> None:
    """Run ``keras.Model.fit`` with the callbacks; ends with the averages in the generators."""
    config = network.config
    batch = config.batch * config.critic_steps
    steps = config.steps_per_epoch or math.ceil(len(simulator) / batch)
    average = MovingAverage(network, config.ema)
    checkpoint = Checkpoint(network, average, folder)
    done = checkpoint.restore()
    _trim(folder / HISTORY, done)
    data = unpaired(simulator, fab, batch=batch, seed=seed, start=done * steps)
    with progress(f"{type(network).__name__}, {name}", (epochs - done) * steps) as advance:
        network.fit(
            data,
            epochs=epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=[
                average,
                Halvings(network),
                keras.callbacks.CSVLogger(str(folder / HISTORY), append=done > 0),
                checkpoint,
                Report(advance),
            ],
        )
    average.swap()


@contextmanager
def _precision(policy: Precision) -> Iterator[None]:
    """Layers made in the block compute with this policy; their weights are float32."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def load(network: Adversarial, folder: Path) -> None:
    """Read the weights of all networks from a folder that `train` wrote."""
    for part in network.networks:
        _load(part, folder / f"{part.name}.weights.h5")


def load_generator(folder: Path, image: ImageConfig, config: AdaptationConfig) -> keras.Model:
    """The generator from simulator to fab of a folder that `train` wrote."""
    model = networks.generator(image, config, "to_target")
    _load(model, folder / "to_target.weights.h5")
    return model


def adapt(
    generator: keras.Model, sem: npt.NDArray[np.float32], batch: int = 64
) -> npt.NDArray[np.uint8]:
    """Simulator images as the fab's microscope would show them.

    Args:
        generator: from `load_generator` or `CycleGAN.to_target`.
        sem: ``[n, H, W]`` grey levels, the mean of itr0 and itr1.
        batch: images a pass.

    Returns:
        uint8 ``[n, H, W]`` grey levels.
    """
    spec = tf.TensorSpec(generator.input_shape, tf.float32)
    translate = tf.function(
        lambda images: generator(images, training=False), input_signature=[spec]
    )
    adapted = np.empty(sem.shape, np.uint8)
    for start in range(0, len(sem), batch):
        images = to_network(sem[start : start + batch])[..., None]
        adapted[start : start + batch] = from_network(translate(images).numpy()[..., 0])
    return adapted


def _trim(history: Path, epochs: int) -> None:
    """Drop rows that were written after the last checkpoint; they are about to come again."""
    if history.exists():
        lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
        history.write_text("".join(lines[: epochs + 1]), encoding="utf-8")


def _load(model: keras.Model, path: Path) -> None:
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train the case again") from error
