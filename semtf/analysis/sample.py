"""The images of a case that the analysis looks at: all where there are few, else evenly spread."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.cases import Case
from semtf.data.dataset import Dataset
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.sampling import spread

PAIRS, FAB_IMAGES = 1500, 1500
LEVELS = (0, 20, 40, 47, 50, 60, 80, 100)
"""The percentiles of an image that are compared."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Pairs of the simulator and images of the fab, of one case.

    Attributes:
        case: its plate level and folders.
        simulator: up to 1,500 pairs.
        fab: up to 1,500 images, of all sites where that suffices.
    """

    case: Case
    simulator: SimulatorSet
    fab: FabSet

    @classmethod
    def of(cls, dataset: Dataset, number: int) -> "Sample":
        """Draw the sample of a case."""
        simulator, fab = dataset.simulator(number), dataset.fab(number)
        return cls(
            dataset.case(number),
            simulator.subset(spread(len(simulator), PAIRS)),
            fab.subset(spread(len(fab), FAB_IMAGES)),
        )

    @cached_property
    def sem(self) -> npt.NDArray[np.float32]:
        """Means of both simulator images, ``[n, H, W]`` grey levels."""
        return self.simulator.mean_sem()

    @cached_property
    def sem_percentiles(self) -> Floats:
        """Percentiles of each simulator image, ``[n, 8]``."""
        return image_percentiles(self.sem)

    @cached_property
    def fab_percentiles(self) -> Floats:
        """Percentiles of each fab image, ``[m, 8]``."""
        return image_percentiles(self.fab.images)

    @cached_property
    def depth_percentiles(self) -> Floats:
        """Percentiles of each depth map, ``[n, 8]``."""
        return image_percentiles(self.simulator.depth)


def image_percentiles(images: npt.NDArray[Any]) -> Floats:
    """The percentiles `LEVELS` of each image ``[n, H, W]``, as ``[n, 8]``."""
    levels: Floats = np.percentile(images.reshape(len(images), -1), LEVELS, axis=1).T
    return levels
