"""Train the networks of one case, and read the generator again."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation import networks
from semtf.adaptation.base import Adapter
from semtf.adaptation.callbacks import (
    HalveLearningRate,
    MovingAverage,
    Report,
    TerminateOnDivergence,
)
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.epoch_selection import (
    LINES_BEFORE,
    TABLE,
    CriterionEvaluator,
    EpochSelection,
    Watch,
)
from semtf.adaptation.gan import GAN
from semtf.adaptation.tensorboard import TensorBoardSummaries
from semtf.checkpoint import Checkpoint
from semtf.config import AdaptationConfig, ImageConfig, Precision
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.pipelines import unpaired
from semtf.errors import InputError, TrainingError
from semtf.progress import progress, warn

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
    average_depth: npt.NDArray[np.float64] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    kind: type[GAN] = CycleGAN,
    watch: Callable[[int, Adapter], None] | None = None,
) -> GAN:
    """Train the networks of one case; goes on from the folder's checkpoint where it has one.

    Args:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: networks, losses and schedule; ``other_epochs`` count after a warm start.
        folder: where the weights of the networks go, the tables ``history.csv`` and
            ``criterion.csv``, ``choice.json`` and TensorBoard's ``logs/``.
        seed: of the initial weights, the order of the images and the gradient penalty.
        warm_start: folder of another case to start from.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown; more evidence for the criterion.
        strategy: where to train; the current strategy where None.
        kind: `CycleGAN` or `CUT`.
        watch: called after every epoch with the number of epochs so far and the averaged
            generator.

    Returns:
        The trained networks; the generators hold their moving averages after the epoch that the
        criterion chose.

    Raises:
        TrainingError: training went wrong before any epoch was better than no adaptation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    with (strategy or tf.distribute.get_strategy()).scope(), _precision(config.precision):
        network = kind(image, config, seed)
        network.compile(jit_compile=config.xla)
    if warm_start is not None:
        load(network, warm_start)
    epochs = config.first_epochs if warm_start is None else config.other_epochs
    evaluator = CriterionEvaluator(simulator, fab, average_depth)
    checkpoint = fit(
        network, simulator, fab, evaluator, epochs=epochs, folder=folder, seed=seed, watch=watch
    )
    for part in network.networks:
        part.save_weights(folder / f"{part.name}.weights.h5")
    checkpoint.remove()
    return network


def fit(
    network: GAN,
    simulator: SimulatorSet,
    fab: FabSet,
    evaluator: CriterionEvaluator,
    *,
    epochs: int,
    folder: Path,
    seed: int,
    watch: Callable[[int, Adapter], None] | None = None,
) -> Checkpoint:
    """Run ``keras.Model.fit`` with the callbacks; ends with the chosen generators.

    Returns:
        The checkpoint, to be removed when the weights are saved.
    """
    config = network.config
    batch = config.batch * config.critic_steps
    steps = config.steps_per_epoch or math.ceil(len(simulator) / batch)
    average = MovingAverage(network, config.ema)
    choice = EpochSelection(network, average, evaluator, folder)
    state = [*network.state(), *average.average, *choice.variables()]
    checkpoint = Checkpoint(state, folder, {HISTORY: 1, TABLE: LINES_BEFORE})
    done = checkpoint.restore()
    if done == 0:
        choice.begin()
    callbacks = [
        average,
        HalveLearningRate(network),
        TerminateOnDivergence(evaluator.fab.shape[1:], penalised=config.loss == "wgan-gp"),
        keras.callbacks.CSVLogger(str(folder / HISTORY), append=done > 0),
        choice,
        *(
            [TensorBoardSummaries(network, average, choice, simulator, fab, folder)]
            if config.tensorboard
            else []
        ),
        checkpoint,
        *([Watch(choice, watch)] if watch else []),
    ]
    data = unpaired(simulator, fab, batch=batch, seed=seed, start=done * steps)
    name = f"{type(network).__name__}, case {fab.case}"
    try:
        with progress(name, (epochs - done) * steps) as advance:
            network.fit(
                data,
                epochs=epochs,
                initial_epoch=done,
                steps_per_epoch=steps,
                verbose=0,
                callbacks=[*callbacks, Report(advance)],
            )
        choice.take(None)
    except TrainingError as error:
        if not choice.helps():
            raise TrainingError(f"{name}: {error} (with --set, in a new --run)") from error
        warn(f"{name}: stopped, {error}; keeping epoch {int(choice.epoch)}")
        choice.take(str(error))
    return checkpoint


@contextmanager
def _precision(policy: Precision) -> Iterator[None]:
    """Layers made in the block compute with this policy; their weights are float32."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def load(network: GAN, folder: Path) -> None:
    """Read the weights of all networks from a folder that `train` wrote."""
    for part in network.networks:
        _load(part, folder / f"{part.name}.weights.h5")


def load_generator(folder: Path, image: ImageConfig, config: AdaptationConfig) -> keras.Model:
    """The generator from simulator to fab of a folder that `train` wrote."""
    model = networks.generator(image, config, "to_target")
    _load(model, folder / "to_target.weights.h5")
    return model


def _load(model: keras.Model, path: Path) -> None:
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train the case again") from error
