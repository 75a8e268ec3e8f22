"""A worker's part in a training that the chief leads: it builds the same networks and steps along.

The chief alone decides what is trained, judges and writes; a worker reads the data, and nothing of
it is written anywhere.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow as tf

from semtf import orders
from semtf.adaptation.gan_adapters import GANAdapter
from semtf.adaptation.registry import adapter_class
from semtf.adaptation.task import AdaptationTask
from semtf.config import RunConfig
from semtf.data.dataset import Dataset
from semtf.errors import InputError, TrainingError
from semtf.orders import Kind, LostWorkerError
from semtf.stages import CLASSIFIER_TASK, fit_classifier

Opener = Callable[[RunConfig, tuple[int, ...]], Dataset]


@contextmanager
def leading(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Tell the other workers how the block ends; they wait for orders in it."""
    try:
        yield
    except LostWorkerError:
        raise
    except BaseException as error:
        known = isinstance(error, (InputError, TrainingError))
        message = str(error) if known else f"{type(error).__name__}: {error}"
        kind = Kind.REFUSED if isinstance(error, InputError) else Kind.FAILED
        orders.send(strategy, kind, " ".join(message.split()).encode())
        raise
    orders.send(strategy, Kind.DONE)


def share_data(strategy: tf.distribute.Strategy, config: RunConfig, dataset: Dataset) -> None:
    """Tell the other workers the settings, and which data they must have."""
    task = {
        "config": json.loads(config.to_json()),
        "cases": dataset.cases,
        "data": checksum(dataset),
    }
    orders.send(strategy, Kind.TASK, json.dumps(task).encode())


def follow(strategy: tf.distribute.Strategy, open_data: Opener) -> RunConfig | None:
    """Take part in everything that the chief trains, until it has no more.

    Args:
        strategy: of all workers.
        open_data: opens this worker's data for the chief's settings and cases.

    Returns:
        The chief's settings; None where nothing was trained.

    Raises:
        InputError: the data differ from the chief's, or the chief refuses its input.
        TrainingError: a worker was lost, or the chief ended with another error.
    """
    config, dataset = None, None
    while (order := orders.receive(strategy)).kind != Kind.DONE:
        task = json.loads(order.content)
        if "data" in task:
            config = RunConfig.from_values(task["config"], "the chief's config")
            dataset = open_data(config, tuple(task["cases"]))
            if checksum(dataset) != task["data"]:
                raise InputError(f"{dataset.root}: other images than the chief's; copy them anew")
        else:
            _train(task, cast(RunConfig, config), cast(Dataset, dataset), strategy)
    return config


def _train(
    task: dict[str, Any], config: RunConfig, dataset: Dataset, strategy: tf.distribute.Strategy
) -> None:
    if task["train"] == CLASSIFIER_TASK:
        fit_classifier(
            dataset, config, folder=Path(), strategy=strategy, folds=task["folds"], resume=True
        )
        return
    case = task["case"]
    adapter = cast(type[GANAdapter], adapter_class(task["train"]))
    adapter.follow(
        AdaptationTask(
            dataset.simulator(case),
            dataset.fab(case),
            config.image,
            config.adaptation,
            seed=config.seed + case,
            strategy=strategy,
        )
    )


def checksum(dataset: Dataset) -> int:
    """A number that tells data sets apart, by their names and by some of their images."""
    value = 0
    for case in dataset.cases:
        simulator, fab = dataset.simulator(case), dataset.fab(case)
        for names in (simulator.bases, fab.sites):
            value = zlib.crc32("\n".join(map(str, names)).encode(), value)
        for images in (simulator.sem[:1], simulator.sem[-1:], fab.images[:1], fab.images[-1:]):
            value = zlib.crc32(np.ascontiguousarray(images).tobytes(), value)
    return value
