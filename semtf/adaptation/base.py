"""The interface of every adapter: simulator images in, images as the fab would take them out."""

import functools
from abc import ABC, abstractmethod
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation.task import AdaptationTask
from semtf.autograph import no_autograph
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.pipelines import to_grey, to_network

BATCH = 64


class Adapter(ABC):
    """Redraws simulator images as the fab's microscope would show them.

    Calling it is pure TensorFlow, eager or inside a ``tf.function``: float32 ``[n, H, W]`` grey
    levels to float32 ``[n, H, W]`` grey levels, not rounded; each image on its own. An export
    holds it by calling it inside a signature and giving `tracked` to
    ``keras.export.ExportArchive.track``, one by one.
    """

    @abstractmethod
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Translate float32 ``[n, H, W]`` grey levels."""

    @property
    def tracked(self) -> tuple[tf.Module | keras.Model, ...]:
        """The objects that own the variables of the graph."""
        return ()

    def adapt(self, sem: npt.NDArray[np.generic], batch: int = BATCH) -> npt.NDArray[np.uint8]:
        """Translate many images; what an image becomes does not depend on how many there are.

        Args:
            sem: ``[n, H, W]`` grey levels, the mean of itr0 and itr1.
            batch: images a pass.

        Returns:
            uint8 ``[n, H, W]`` grey levels.
        """
        adapted = np.empty(sem.shape, np.uint8)
        translate = self._graph(sem.shape[1:])
        for start in range(0, len(sem), batch):
            images = sem[start : start + batch]
            # A pass of another size may round its sums otherwise, so every pass is full.
            full = np.zeros((batch, *sem.shape[1:]), np.float32)
            full[: len(images)] = images
            translated = translate(tf.constant(full)).numpy()[: len(images)]
            adapted[start : start + batch] = np.clip(np.rint(translated), 0, 255)
        return adapted

    def _graph(self, size: tuple[int, ...]) -> tf.types.experimental.PolymorphicFunction:
        """The call as a graph for any number of images of a size, traced once."""
        if size not in self._graphs:
            spec = tf.TensorSpec([None, *size], tf.float32)
            self._graphs[size] = tf.function(self.__call__, input_signature=[spec], autograph=False)
        return self._graphs[size]

    @functools.cached_property
    def _graphs(self) -> dict[tuple[int, ...], tf.types.experimental.PolymorphicFunction]:
        return {}


class Generated(Adapter):
    """The images that a generator makes, in grey levels; all with one image added, if given."""

    def __init__(
        self, generator: keras.Model, offset: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.generator, self.offset = generator, offset

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        generated = to_grey(self.generator(to_network(images), training=False))
        return generated if self.offset is None else generated + self.offset

    @property
    def tracked(self) -> tuple[tf.Module | keras.Model, ...]:
        return (self.generator,)


class FittedAdapter(Adapter):
    """An adapter that is fitted to the images of a case, written into a folder and read again.

    `semtf.adaptation.registry.register` gives a subclass its name in the settings.
    """

    @classmethod
    @abstractmethod
    def fit(
        cls, task: AdaptationTask, folder: Path, warm_start: Path | None = None
    ) -> "FittedAdapter":
        """Fit an adapter and write everything that `load` needs.

        Args:
            task: images and settings.
            folder: where it goes; the folder exists, and may hold what an interruption left.
            warm_start: folder of the same adapter, fitted to another case, to start from.
        """

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, image: ImageConfig, config: AdaptationConfig) -> "FittedAdapter":
        """Read what `fit` wrote into a folder; raises InputError where it is not there."""
