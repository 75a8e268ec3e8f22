"""Fit an adapter to a case and read it again, by its name in the config."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation import adapter_selection
from semtf.adaptation import statistical_adapters as cheap
from semtf.adaptation import train as training
from semtf.adaptation.adapter_selection import AdapterTrial
from semtf.adaptation.base import Adapter, Generated, Unchanged
from semtf.adaptation.criterion import Criterion
from semtf.adaptation.cut import CUT
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.epoch_selection import CriterionEvaluator
from semtf.adaptation.gan import GAN
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import TrainingError

TRAINED: dict[str, type[GAN]] = {"cyclegan": CycleGAN, "cut": CUT}
FITTED: dict[str, type[cheap.StatisticalAdapter]] = {
    "percentile": cheap.PercentileMatching,
    "moment": cheap.MomentMatching,
    "fda": cheap.FourierAmplitude,
    "adain": cheap.AdaIN,
}
TRIAL = "trial.json"


@dataclass(frozen=True)
class Case:
    """What an adapter of one case is fitted to, and how.

    Attributes:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: which adapter, and how it is trained.
        seed: of everything random.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown; more evidence for the criterion.
        strategy: where networks are trained; the current strategy where None.
        watch: called after every epoch of a training with the number of epochs so far and the
            adapter as it is then.
    """

    simulator: SimulatorSet
    fab: FabSet
    image: ImageConfig
    config: AdaptationConfig
    seed: int
    average_depth: npt.NDArray[np.float64] | None = None
    strategy: tf.distribute.Strategy | None = None
    watch: Callable[[int, Adapter], None] | None = None


def fit(case: Case, folder: Path, warm_start: Path | None = None) -> Adapter:
    """Fit the adapter ``case.config.adapter`` and write it into a folder.

    ``"auto"`` fits every one of ``config.candidates`` into a folder of its own below, judges them
    by the label-free criterion and writes table, choice and reason
    (`semtf.adaptation.adapter_selection`).

    Args:
        case: images and settings.
        folder: where it goes; what was interrupted there goes on.
        warm_start: folder of another case, that trained networks start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if case.config.adapter != "auto":
        return _fit_one(case, case.config.adapter, folder, warm_start)
    trials = [
        _try(case, name, folder / name, warm_start / name if warm_start else None)
        for name in case.config.candidates
    ]
    adapter_selection.write(folder, trials, *adapter_selection.choose(trials))
    return load(folder, case.image, case.config)


def load(folder: Path, image: ImageConfig, config: AdaptationConfig) -> Adapter:
    """The adapter that `fit` wrote into a folder, such as ``Run.adaptation(case)``.

    What comes back is called with float32 ``[n, H, W]`` grey levels and gives the same, in
    TensorFlow operations only (see `Adapter`), so that an export can hold it.

    Raises:
        InputError: the folder has no such adapter.
    """
    name: str = config.adapter
    if name == "auto":
        name = adapter_selection.chosen_adapter(folder)
        folder = folder / name
    if name == "none":
        return Unchanged()
    if name in FITTED:
        return FITTED[name].load(folder)
    return Generated(training.load_generator(folder, image, config))


def chosen_folder(folder: Path) -> Path:
    """Where the adapter lies in a folder that `fit` wrote: below it where it was chosen."""
    if not (folder / adapter_selection.SELECTION).exists():
        return folder
    return folder / adapter_selection.chosen_adapter(folder)


def _fit_one(case: Case, name: str, folder: Path, warm_start: Path | None) -> Adapter:
    if name == "none":
        return Unchanged()
    if name in FITTED:
        fitted = FITTED[name].fit(case.simulator, case.fab, case.config)
        fitted.save(folder)
        return fitted
    network = training.train(
        case.simulator,
        case.fab,
        case.image,
        case.config,
        folder=folder,
        seed=case.seed,
        warm_start=warm_start,
        average_depth=case.average_depth,
        strategy=case.strategy,
        kind=TRAINED[name],
        watch=case.watch,
    )
    return Generated(network.to_target)


def _try(case: Case, name: str, folder: Path, warm_start: Path | None) -> AdapterTrial:
    """Fit one candidate and judge it; a candidate that was judged before is read again."""
    folder.mkdir(exist_ok=True)
    if not (folder / TRIAL).exists():
        start = time.perf_counter()
        there = warm_start if warm_start and warm_start.is_dir() else None
        found, failure = None, None
        try:
            found = evaluate_criterion(case, _fit_one(case, name, folder, there))
        except TrainingError as error:
            failure = str(error)
        AdapterTrial(name, time.perf_counter() - start, found, failure).save(folder / TRIAL)
    return AdapterTrial.load(folder / TRIAL)


def evaluate_criterion(case: Case, adapter: Adapter) -> Criterion:
    """The label-free criterion of an adapter on the images of a case."""
    evaluator = CriterionEvaluator(case.simulator, case.fab, case.average_depth)
    return evaluator(adapter.adapt(evaluator.sem))
