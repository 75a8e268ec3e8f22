"""What an adapter is fitted to, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet


@dataclass(frozen=True)
class AdaptationTask:
    """The images of one case, and the settings of the adapter that is fitted to them.

    Attributes:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: which adapter, and how it is trained.
        seed: of everything random.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown; more evidence for the criterion.
        strategy: where networks are trained; the current strategy where None.
        seconds: the time that the training of a network may take; any where None.
        callbacks: Keras callbacks of every training (`semtf.adaptation.train.train`).
    """

    simulator: SimulatorSet
    fab: FabSet
    image: ImageConfig
    config: AdaptationConfig
    seed: int
    average_depth: npt.NDArray[np.float64] | None = None
    strategy: tf.distribute.Strategy | None = None
    seconds: float | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
