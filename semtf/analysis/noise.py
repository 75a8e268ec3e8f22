"""The noise of both microscopes, and where images have their brightest pixel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import (
    binary_fill_holes,
    convolve,
    distance_transform_edt,
    gaussian_filter,
    gaussian_gradient_magnitude,
)

from semtf.adaptation.criterion import hole_pixels
from semtf.analysis.sample import Sample
from semtf.data.sampling import spread

IMAGES = 300
MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
MASK_GAIN = 6.0
"""Standard deviation of the mask's response to white noise of 1: root of the sum of squares."""
MEAN_TO_SIGMA = float(np.sqrt(np.pi / 2))
"""Standard deviation over mean absolute value of a normal distribution."""
SMOOTHING = 1.5
EDGE_REACH = 4.0
RANGE = 16
FEWEST_PIXELS = 300

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Noise in grey levels.

    Attributes:
        difference: mean of ``|itr0 − itr1|`` of the simulator.
        simulator: standard deviation of one simulator image's noise, from that difference.
        simulator_smooth: the same as `smooth_noise` estimates it from single images: how far it
            can be believed.
        fab: standard deviation of a fab image's noise in its smooth regions, by `smooth_noise`.
        simulator_by_level: by grey level, the simulator's noise there.
        fab_by_level: the same of the fab's, by `smooth_noise`.
    """

    difference: float
    simulator: float
    simulator_smooth: float
    fab: float
    simulator_by_level: dict[int, float]
    fab_by_level: dict[int, float]


@dataclass(frozen=True)
class Maxima:
    """The brightest pixels of images.

    Attributes:
        most_common: the most frequent maximum of an image, grey levels.
        share: of the images that have it.
        lowest: the smallest maximum of an image.
        highest: the largest.
        plate: share of the images whose brightest pixel lies on the plate, away from the edge.
        rim: share of those where it lies within 4 pixels outside the edge.
        hole: share of those where it lies in the hole.
    """

    most_common: int
    share: float
    lowest: int
    highest: int
    plate: float
    rim: float
    hole: float


def find_noise(sample: Sample) -> Noise:
    """Measure the noise of a case."""
    rows = spread(len(sample.simulator), IMAGES)
    pairs = sample.simulator.sem[rows].astype(np.float64)
    fab = np.asarray(sample.fab.images[spread(len(sample.fab), IMAGES)])
    difference = pairs[:, 0] - pairs[:, 1]
    single, _ = smooth_noise(sample.simulator.sem[rows, 0])
    of_fab, by_level = smooth_noise(fab)
    return Noise(
        difference=float(np.abs(difference).mean()),
        simulator=float(difference.std() / np.sqrt(2)),
        simulator_smooth=single,
        fab=of_fab,
        simulator_by_level=_by_level(pairs.mean(axis=1), difference),
        fab_by_level=by_level,
    )


def smooth_noise(images: Images) -> tuple[float, dict[int, float]]:
    """Noise of images ``[n, H, W]`` from their smooth regions, in grey levels.

    The mask of Immerkær (Fast noise variance estimation, Computer Vision and Image Understanding
    64, 1996) is blind to planes. Of its response the mean absolute value is taken in each range of
    16 grey levels, over the half of the pixels with the smallest gradient. Noise that is correlated
    from pixel to pixel is estimated too small.

    Returns:
        The noise of all pixels, and that of each range by its middle.
    """
    stack = images.astype(np.float64)
    response = np.abs(convolve(stack, MASK[None], mode="nearest"))
    gradient = np.stack([gaussian_gradient_magnitude(image, SMOOTHING) for image in stack])
    smooth = gradient <= np.median(gradient, axis=(1, 2), keepdims=True)
    ranges = gaussian_filter(stack, (0, SMOOTHING, SMOOTHING)).astype(int) // RANGE
    by_level, squares, pixels = {}, 0.0, 0
    for level in np.unique(ranges):
        inside = ranges == level
        if (chosen := inside & smooth).sum() < FEWEST_PIXELS:
            continue
        sigma = float(MEAN_TO_SIGMA * response[chosen].mean() / MASK_GAIN)
        by_level[_middle(level)] = sigma
        squares += sigma**2 * int(inside.sum())
        pixels += int(inside.sum())
    return (float(np.sqrt(squares / pixels)) if pixels else float("nan")), by_level


def find_maxima(images: Images) -> Maxima:
    """Where the brightest pixels of images ``[n, H, W]`` lie, the first of equals counting."""
    flat = images.reshape(len(images), -1)
    maxima = flat.max(axis=1)
    most_common = int(np.bincount(maxima).argmax())
    rows = spread(len(images), IMAGES)
    zones = np.array([_zone(image) for image in images[rows]])
    return Maxima(
        most_common=most_common,
        share=float((maxima == most_common).mean()),
        lowest=int(maxima.min()),
        highest=int(maxima.max()),
        plate=float((zones == "plate").mean()),
        rim=float((zones == "rim").mean()),
        hole=float((zones == "hole").mean()),
    )


def brightest_map(images: Images) -> Floats:
    """How often each pixel is the brightest of its image, ``[H, W]``, sum 1."""
    flat = images.reshape(len(images), -1)
    counts = np.bincount(flat.argmax(axis=1), minlength=flat.shape[1])
    return counts.reshape(images.shape[1:]) / len(images)


def _zone(image: Images) -> str:
    hole = binary_fill_holes(hole_pixels(image))
    brightest = np.unravel_index(image.argmax(), image.shape)
    if hole[brightest]:
        return "hole"
    return "rim" if distance_transform_edt(~hole)[brightest] <= EDGE_REACH else "plate"


def _by_level(level: Floats, difference: Floats) -> dict[int, float]:
    ranges = level.astype(int).ravel() // RANGE
    count = np.bincount(ranges)
    squares = np.bincount(ranges, difference.ravel() ** 2)
    seen = np.flatnonzero(count >= FEWEST_PIXELS)
    return {_middle(int(i)): float(np.sqrt(squares[i] / count[i] / 2)) for i in seen}


def _middle(level: int) -> int:
    return int(level) * RANGE + RANGE // 2
