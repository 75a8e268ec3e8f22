"""Fit an adapter to a case and read it again, by its name in the config."""

import time
from collections.abc import Callable
from pathlib import Path

from semtf.adaptation import (
    adapter_selection,
    gan_adapters,  # noqa: F401 - registers the adapters that come with semtf
    statistical_adapters,  # noqa: F401 - the same
)
from semtf.adaptation.adapter_selection import AdapterTrial
from semtf.adaptation.base import Adapter
from semtf.adaptation.criterion import Criterion
from semtf.adaptation.epoch_selection import CriterionEvaluator
from semtf.adaptation.registry import adapter_class
from semtf.adaptation.task import AdaptationTask
from semtf.adapter_table import ADAPTERS, AUTO, chosen_adapter
from semtf.config import AdaptationConfig, ImageConfig
from semtf.errors import TrainingError

TRIAL = "trial.json"


def fit(task: AdaptationTask, folder: Path, warm_start: Path | None = None) -> Adapter:
    """Fit the adapter ``task.config.adapter`` and write it into a folder.

    ``"auto"`` fits every one of ``config.candidates`` into a folder of its own below, judges them
    by the label-free criterion and writes table, choice and reason
    (`semtf.adaptation.adapter_selection`).

    Args:
        task: images and settings.
        folder: where it goes; what was interrupted there goes on.
        warm_start: folder of another case, that trained networks start from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if task.config.adapter != AUTO:
        return adapter_class(task.config.adapter).fit(task, folder, warm_start)
    trials = [
        _trial(task, name, folder / name, warm_start / name if warm_start else None)
        for name in task.config.candidates
    ]
    adapter_selection.write(folder, trials, *adapter_selection.choose(trials))
    return load(folder, task.image, task.config)


def load(folder: Path, image: ImageConfig, config: AdaptationConfig) -> Adapter:
    """The adapter that `fit` wrote into a folder, such as ``Run.adaptation(case)``.

    What comes back is called with float32 ``[n, H, W]`` grey levels and gives the same, in
    TensorFlow operations only (see `Adapter`), so that an export can hold it.

    Raises:
        InputError: the folder has no such adapter.
    """
    name = config.adapter
    if name == AUTO:
        name = chosen_adapter(folder)
        folder = folder / name
    return adapter_class(name).load(folder, image, config)


def trained(config: AdaptationConfig) -> bool:
    """Whether fitting the adapter, or one of the candidates, trains networks."""
    names = config.candidates if config.adapter == AUTO else (config.adapter,)
    return any(ADAPTERS[name].trained for name in names)


def _trial(task: AdaptationTask, name: str, folder: Path, warm_start: Path | None) -> AdapterTrial:
    """Fit one candidate and judge it; a candidate that was judged before is read again."""
    folder.mkdir(exist_ok=True)
    if not (folder / TRIAL).exists():
        start = warm_start if warm_start and warm_start.is_dir() else None
        found = judged(task, name, lambda: adapter_class(name).fit(task, folder, start))
        found.save(folder / TRIAL)
    return AdapterTrial.load(folder / TRIAL)


def judged(task: AdaptationTask, name: str, fitted: Callable[[], Adapter]) -> AdapterTrial:
    """What the label-free criterion says of an adapter, or why its training failed.

    Args:
        task: images and settings.
        name: of the adapter.
        fitted: gives it; its seconds are those of the trial.
    """
    began = time.perf_counter()
    result, failure = None, None
    try:
        result = evaluate_criterion(task, fitted())
    except TrainingError as error:
        failure = str(error)
    return AdapterTrial(name, time.perf_counter() - began, result, failure)


def evaluate_criterion(task: AdaptationTask, adapter: Adapter) -> Criterion:
    """The label-free criterion of an adapter on the images of a case."""
    evaluator = CriterionEvaluator(task.simulator, task.fab, task.average_depth)
    return evaluator(adapter.adapt(evaluator.sem))
