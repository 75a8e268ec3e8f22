"""Train the networks of one case, and read the generator again."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from semtf import orders, training_loop
from semtf.adaptation import networks
from semtf.adaptation.callbacks import (
    MovingAverage,
    ProgressReport,
    TerminateOnDivergence,
)
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.epoch_selection import (
    LINES_BEFORE,
    TABLE,
    CriterionEvaluator,
    EpochSelection,
)
from semtf.adaptation.gan import GAN
from semtf.adaptation.mean_matching import SAMPLE, mean_offset, save_offset
from semtf.adaptation.schedule import Schedule
from semtf.adaptation.tensorboard import TensorBoardSummaries
from semtf.adaptation.traced_networks import with_traces
from semtf.adaptation.warm_up import warm_up
from semtf.backend.seeds import seed_initial_weights
from semtf.checkpoint import CHECKPOINT, Checkpoint, save_weights
from semtf.config import AdaptationConfig, ImageConfig, Precision
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.pipelines import unpaired
from semtf.data.sampling import spread
from semtf.distribution import check_batch
from semtf.errors import InputError, TrainingError
from semtf.orders import LostWorkerError
from semtf.progress import progress, warn
from semtf.run import HISTORY

BATCH = "adaptation.batch"


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
    seconds: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> GAN:
    """Train the networks of one case; goes on from the folder's checkpoint where it has one.

    Where several workers train, all of them call this. The chief alone reads and writes the
    folder, judges epochs and calls ``callbacks``; the networks of the others end as trained last.

    Args:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: networks, losses and schedule; ``other_epochs`` count after a warm start.
        folder: where the weights of the networks go, the tables ``history.csv`` and
            ``criterion.csv``, ``choice.json``, ``mean_offset.npy`` and TensorBoard's ``logs/``.
        seed: of the initial weights, the order of the images and the gradient penalty.
        warm_start: folder of another case to start from.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown; more evidence for the criterion.
        strategy: where to train; the current strategy where None.
        kind: `CycleGAN` or `CUT`.
        seconds: the time that it may take, looked at after each epoch; any where None.
        callbacks: other Keras callbacks of ``fit``. Their ``self.model`` is the network, named
            after the adapter and the case as in ``cyclegan_case_1``; the logs of an epoch's end
            hold the means of its losses and ``criterion_…`` of the averaged generator, which
            ``self.model.averaged()`` puts in place for a while. They are called when the epoch's
            checkpoint is written. Where one sets ``self.model.stop_training`` training ends after
            the epoch, and the best epoch so far is kept.

    Returns:
        The trained networks; the generators hold their moving averages after the epoch that the
        criterion chose.

    Raises:
        InputError: the batch cannot be split evenly over the strategy's replicas.
        TrainingError: training went wrong before any epoch was better than no adaptation.
    """
    check_replicas(config, strategy)
    seed_initial_weights(seed)
    if warm_start is not None:
        config = dataclasses.replace(
            config,
            learning_rate=config.learning_rate * config.other_rate,
            critic_rate=config.critic_rate * config.other_rate,
        )
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope(), _precision(config.precision):
        network = kind(image, config, seed, name=f"{kind.__name__.lower()}_case_{fab.case}")
        network.compile(jit_compile=config.xla)
        if not training_loop.replicated(strategy):
            network = with_traces(network, image)
    if not orders.is_chief(strategy):
        data = batches(network, simulator, fab, seed)
        training_loop.follow(network, data, state=network.state())
        return network
    folder.mkdir(parents=True, exist_ok=True)
    if warm_start is not None:
        load(network, warm_start)
    elif config.warm_up_steps and not (folder / CHECKPOINT).exists():
        began = time.monotonic()
        first = batches(network, simulator, fab, seed)(0).take(config.warm_up_steps)
        warm_up(network, simulator, fab, image, first)
        seconds = None if seconds is None else seconds - (time.monotonic() - began)
    epochs = config.first_epochs if warm_start is None else config.other_epochs
    evaluator = CriterionEvaluator(simulator, fab, average_depth)
    checkpoint = fit(
        network,
        simulator,
        fab,
        evaluator,
        epochs=epochs,
        before=0 if warm_start is None else _epochs(warm_start),
        folder=folder,
        seed=seed,
        seconds=seconds,
        callbacks=callbacks,
    )
    for part in network.networks:
        save_weights(part, folder / f"{part.name}.weights.h5")
    if config.match_mean:
        sem = simulator.mean_sem(spread(len(simulator), SAMPLE))
        adapted = network.translators[0].adapt(sem)
        save_offset(mean_offset(adapted, evaluator.mean), folder)
    checkpoint.remove()
    return network


def check_replicas(config: AdaptationConfig, strategy: tf.distribute.Strategy | None) -> None:
    """Raise InputError where the settings do not go with the replicas of a strategy.

    Args:
        config: the batch is that of one step: a critic's steps take parts of ``critic_steps`` such
            batches.
        strategy: the current one where None.
    """
    check_batch(BATCH, config.batch, strategy)
    replicas = (strategy or tf.distribute.get_strategy()).num_replicas_in_sync
    if config.critic_norm == "spectral" and replicas > 1:
        raise InputError(
            f"adaptation.critic_norm=spectral: divides kernels on one device, and there are "
            f"{replicas}; take --strategy one, or another norm"
        )


def fit(
    network: GAN,
    simulator: SimulatorSet,
    fab: FabSet,
    evaluator: CriterionEvaluator,
    *,
    epochs: int,
    folder: Path,
    seed: int,
    before: int = 0,
    seconds: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Checkpoint:
    """Run `semtf.training_loop.fit`, and put the averages of the best epoch into the generators.

    Arguments are those of `train`; ``before`` are the epochs of the case it starts from.

    Returns:
        The checkpoint, to be removed when the weights are saved.
    """
    config = network.config
    steps = config.steps_per_epoch or math.ceil(
        len(simulator) / (config.batch * config.critic_steps)
    )
    average = MovingAverage(network, config.ema)
    schedule = Schedule(network, evaluator.sites, epochs=epochs, before=before, seconds=seconds)
    selection = EpochSelection(network, average, evaluator, folder, schedule)
    state = [
        *network.state(),
        *average.average,
        *selection.variables(),
        *schedule.variables(),
    ]
    checkpoint = Checkpoint(state, folder, {HISTORY: 1, TABLE: LINES_BEFORE})
    done = checkpoint.restore()
    if done == 0:
        selection.begin()
    schedule.begin(done)
    # The order counts: the selection judges the average and adds the criterion to the logs, of
    # which the history keeps the losses only; a checkpoint holds what the selection chose.
    all_callbacks = [
        average,
        TerminateOnDivergence(evaluator.fab.shape[1:], penalised=config.loss == "wgan-gp"),
        keras.callbacks.CSVLogger(str(folder / HISTORY), append=done > 0),
        selection,
        schedule,
        *([TensorBoardSummaries(simulator, fab, folder)] if config.tensorboard else []),
        checkpoint,
        *callbacks,
    ]
    name = f"{type(network).__name__}, case {fab.case}"
    try:
        with progress(name, (schedule.end - done) * steps) as advance:
            report = ProgressReport(
                advance, lambda: ((schedule.end - done) * steps, schedule.status)
            )
            training_loop.fit(
                network,
                batches(network, simulator, fab, seed),
                state=network.state(),
                done=done,
                # Nothing is left to do after the last epoch, or without time.
                epochs=epochs if done < schedule.end else done,
                steps=steps,
                callbacks=[*all_callbacks, report],
            )
        selection.apply(None)
    except LostWorkerError:
        raise
    except TrainingError as error:
        if not selection.helps():
            raise TrainingError(f"{name}: {error} (with --set, in a new --run)") from error
        warn(f"{name}: stopped, {error}; keeping epoch {selection.epoch}")
        selection.apply(str(error))
    return checkpoint


def _epochs(folder: Path) -> int:
    """How many epochs the networks in a folder were trained."""
    history = folder / HISTORY
    return len(pd.read_csv(history)) if history.exists() else 0


def batches(
    network: GAN, simulator: SimulatorSet, fab: FabSet, seed: int
) -> Callable[[int], tf.data.Dataset]:
    """The batches of a network's training, from the step to begin with."""
    size = network.config.batch * network.config.critic_steps
    return lambda start: unpaired(simulator, fab, batch=size, seed=seed, start=start)


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
    for model in network.networks:
        _load(model, folder / f"{model.name}.weights.h5")


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
