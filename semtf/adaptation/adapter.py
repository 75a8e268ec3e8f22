"""Fit an adapter to a case and read it again, by its name in the config."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.adaptation import train as training
from semtf.adaptation.interface import Adapter, Generated, Unchanged
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.dataset import FabSet, SimulatorSet


def fit(
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
) -> Adapter:
    """Fit the adapter ``config.adapter`` to the images of a case, and write it into a folder.

    Args:
        simulator: the pairs of the case, the source domain.
        fab: the fab's images of the case, the target domain.
        image: size of the images.
        config: which adapter, and how it is trained.
        folder: where it goes; a training that was interrupted there goes on.
        seed: of everything random.
        warm_start: folder of another case, that trained networks start from.
        average_depth: average depth of each fab image's site, ``[m]`` grey levels, NaN where
            unknown; more evidence for the criterion.
        strategy: where networks are trained; the current strategy where None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.adapter == "none":
        return Unchanged()
    network = training.train(
        simulator,
        fab,
        image,
        config,
        folder=folder,
        seed=seed,
        warm_start=warm_start,
        average_depth=average_depth,
        strategy=strategy,
    )
    return Generated(network.to_target)


def load(folder: Path, image: ImageConfig, config: AdaptationConfig) -> Adapter:
    """The adapter that `fit` wrote into a folder, such as ``Run.adaptation(case)``.

    What comes back is called with float32 ``[n, H, W]`` grey levels and gives the same, in
    TensorFlow operations only (see `Adapter`), so that an export can hold it.

    Raises:
        InputError: the folder has no such adapter.
    """
    if config.adapter == "none":
        return Unchanged()
    return Generated(training.load_generator(folder, image, config))
