"""The adapters that are the generator of a trained network."""

import json
from pathlib import Path
from typing import ClassVar

import tensorflow as tf

from semtf import orders
from semtf.adaptation import train as training
from semtf.adaptation.base import FittedAdapter, Generated
from semtf.adaptation.cut import CUT
from semtf.adaptation.cyclegan import CycleGAN
from semtf.adaptation.gan import GAN
from semtf.adaptation.mean_matching import load_offset
from semtf.adaptation.registry import CLASSES, register
from semtf.adaptation.task import AdaptationTask
from semtf.adaptation.traced_networks import keep
from semtf.config import AdaptationConfig, ImageConfig
from semtf.orders import Kind


class GANAdapter(Generated, FittedAdapter):
    """The generator from simulator to fab of a `GAN`, after the epoch that the criterion chose.

    With ``config.match_mean`` the mean of its images is the fab's.

    Attributes:
        network: the class of the network that is trained.
    """

    network: ClassVar[type[GAN]]

    @classmethod
    def follow(cls, task: AdaptationTask) -> None:
        """Take a worker's part in the training that `fit` leads."""
        training.train(
            task.simulator,
            task.fab,
            task.image,
            task.config,
            folder=Path(),
            seed=task.seed,
            strategy=task.strategy,
            kind=cls.network,
        )

    @classmethod
    def fit(
        cls, task: AdaptationTask, folder: Path, warm_start: Path | None = None
    ) -> "GANAdapter":
        """Train the network; a training that was interrupted in this folder goes on.

        Raises:
            TrainingError: training went wrong before any epoch was better than no adaptation.
        """
        strategy = task.strategy or tf.distribute.get_strategy()
        order = {"train": next(name for name, kind in CLASSES.items() if kind is cls)}
        orders.send(strategy, Kind.TASK, json.dumps(order | {"case": task.fab.case}).encode())
        trained = training.train(
            task.simulator,
            task.fab,
            task.image,
            task.config,
            folder=folder,
            seed=task.seed,
            warm_start=warm_start,
            average_depth=task.average_depth,
            strategy=task.strategy,
            kind=cls.network,
            seconds=task.seconds,
            callbacks=task.callbacks,
        )
        keep(trained, task.image)
        return cls.load(folder, task.image, task.config)

    @classmethod
    def load(cls, folder: Path, image: ImageConfig, config: AdaptationConfig) -> "GANAdapter":
        """Read the generator; raises InputError where its weights are not there."""
        generator = training.load_generator(folder, image, config)
        return cls(generator, load_offset(folder, image.shape))


@register("cyclegan")
class CycleGANAdapter(GANAdapter):
    """The generator from simulator to fab of a `CycleGAN`."""

    network = CycleGAN


@register("cut")
class CUTAdapter(GANAdapter):
    """The generator of a `CUT`."""

    network = CUT
