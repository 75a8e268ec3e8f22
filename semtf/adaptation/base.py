"""The interface of every adapter: simulator images in, images as the fab would take them out."""

import functools
from abc import ABC, abstractmethod
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.data.images import FULL_SCALE

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

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything that `semtf.adaptation.adapter.load` needs into an existing folder."""

    @property
    def tracked(self) -> tuple[tf.Module | keras.Model, ...]:
        """The objects that own the variables of the graph."""
        return ()

    def adapt(self, sem: npt.NDArray[np.generic], batch: int = BATCH) -> npt.NDArray[np.uint8]:
        """Translate many images.

        Args:
            sem: ``[n, H, W]`` grey levels, the mean of itr0 and itr1.
            batch: images a pass.

        Returns:
            uint8 ``[n, H, W]`` grey levels.
        """
        adapted = np.empty(sem.shape, np.uint8)
        translate = self._graph(sem.shape[1:])
        for start in range(0, len(sem), batch):
            images = np.asarray(sem[start : start + batch], np.float32)
            translated = translate(tf.constant(images)).numpy()
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


class Unchanged(Adapter):
    """No adaptation: the images as they are."""

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return tf.identity(images)

    def save(self, folder: Path) -> None:
        """There is nothing to write."""


class Generated(Adapter):
    """The generator of a `CycleGAN` or a `CUT`."""

    def __init__(self, generator: keras.Model) -> None:
        self.generator = generator

    @no_autograph
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        scaled = images[..., tf.newaxis] * (2 / FULL_SCALE) - 1
        return (self.generator(scaled, training=False)[..., 0] + 1) * (FULL_SCALE / 2)

    @property
    def tracked(self) -> tuple[tf.Module | keras.Model, ...]:
        return (self.generator,)

    def save(self, folder: Path) -> None:
        """Write the generator's weights."""
        self.generator.save_weights(folder / f"{self.generator.name}.weights.h5")
