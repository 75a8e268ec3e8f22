"""The plate: its level in depth maps and images, and whether all outside of holes is plate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from semtf.analysis.depth_law import plate_level
from semtf.analysis.noise import hole_pixels
from semtf.analysis.sample import Sample
from semtf.data.sampling import spread

IMAGES = 300
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Plate:
    """The plate of one case, grey levels.

    Attributes:
        depth: its level in the depth maps, the most frequent maximum.
        expected: the level that the table of cases names.
        all_plate: share of the depth maps whose pixels outside the hole are all plate.
        share: of the pixels of depth maps that are plate.
        simulator: median level of the plate in simulator images (mean of both exposures).
        fab: the same in fab images.
    """

    depth: float
    expected: int
    all_plate: float
    share: float
    simulator: float
    fab: float


def find_plate(sample: Sample) -> Plate:
    """Measure the plate of a case."""
    depth = sample.simulator.depth
    level = plate_level(depth)
    rows = spread(len(depth), IMAGES)
    clean = [_is_plate_outside(image, level) for image in depth[rows]]
    fab = np.asarray(sample.fab.images[spread(len(sample.fab), IMAGES)])
    return Plate(
        depth=level,
        expected=sample.case.plate,
        all_plate=float(np.mean(clean)),
        share=float((depth == level).mean()),
        simulator=float(np.median(sample.sem[rows][depth[rows] == level])),
        fab=float(np.median(fab[~hole_pixels(fab)])),
    )


def _is_plate_outside(depth: Images, level: float) -> bool:
    """Whether the pixels that are not plate are one connected hole, and none is above it."""
    _, holes = label(depth != level)
    return bool(holes <= 1 and depth.max() <= level)
