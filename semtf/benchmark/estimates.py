"""What a method gives: depth maps of test images, and σ where it is calibrated."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.estimation.estimator import BATCH

Images = npt.NDArray[np.generic]
Maps = npt.NDArray[np.float32]


class Estimates(NamedTuple):
    """Depth maps and their σ, float32 ``[n, H, W]`` both; σ is None where it is not calibrated."""

    depth: Maps
    sigma: Maps | None = None


Estimator = Callable[[Images, Images], Estimates]
"""From test images and, for oracles alone, their true depth, ``[n, H, W]`` both."""


def in_batches(function: Callable[[tf.Tensor], tf.Tensor], images: Images) -> Maps:
    """What a function of float32 images ``[q, H, W]`` gives for many of them."""
    starts = range(0, len(images), BATCH)
    parts = [function(tf.constant(images[s : s + BATCH], tf.float32)).numpy() for s in starts]
    return np.concatenate(parts)
