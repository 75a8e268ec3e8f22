"""How far an estimate may be off: the neighbours' spread, made into calibrated intervals.

The half width of a pixel's interval is ``scale[zone] · sqrt(spread² + 0.5²)`` grey levels. The
scales are found by conformal risk control (Angelopoulos et al., ICLR 2024) on queries of known
depth (`semtf.retrieval.held_out`), with the image as the unit and the uncovered share of its
pixels in the zone as the loss: the expected loss on a further such query is at most 10 %. That
holds for queries like these. Fab images may differ from them, and without their depth nothing
guarantees the coverage there.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.config import Weights
from semtf.errors import InputError
from semtf.estimation.uncertainty import depth_and_spread, num_to_search
from semtf.retrieval.blending import Blending
from semtf.retrieval.held_out import HeldOutQueries, residuals
from semtf.retrieval.retriever import Retriever

INTERVALS = "intervals.json"
LEVEL = 0.9
# Half width of the normal distribution's 90 % interval in standard deviations.
NORMAL = 1.6448536
ZONES = ("certain", "plate", "wall", "floor")
# The plate's zone ends at this share of the hole's depth below the plate, the floor's zone at the
# same share above the floor; the wall lies between them.
EDGE = 0.1
# Depth values are whole grey levels.
RESOLUTION = 0.5
# Neighbours whose spread is smaller agree, in grey levels.
AGREED = 0.01
# Errors of float32 arithmetic, in grey levels, that count as none.
ROUNDING = 1e-3
# Fab images whose residuals are taken, and pairs on each side of the calibration.
IMAGES = 256


@dataclass(frozen=True)
class Intervals:
    """Calibrated 90 % intervals of one case, for the blending that they were calibrated with.

    Attributes:
        weights: how neighbours were weighted.
        neighbours: how many were blended.
        plate: grey level of the plate.
        floor: grey level of the floor.
        images: queries that the scales were found on.
        scale: by zone, half width of the interval over ``sqrt(spread² + 0.5²)``.
        coverage: by zone, share of the pixels inside their interval, the mean over other
            held-out queries; missing where none has such a pixel.
        half_width: by zone, the mean half width there, in grey levels.
        pixels: by zone, the share of all pixels that lie in it.
    """

    weights: Weights
    neighbours: int
    plate: int
    floor: int
    images: int
    scale: Mapping[str, float]
    coverage: Mapping[str, float]
    half_width: Mapping[str, float]
    pixels: Mapping[str, float]

    @property
    def blending(self) -> Blending:
        """What was calibrated."""
        return Blending(self.neighbours, self.weights)

    def holds_for(self, blending: Blending) -> bool:
        """Whether estimates are blended as those that were calibrated."""
        return blending == self.blending

    def zone(self, depth: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """Index of each pixel's zone in `ZONES`, int32, from the estimate alone.

        Where all neighbours agree the zone is ``certain``; elsewhere it follows from the depth.
        """
        share = (float(self.plate) - depth) / float(max(1, self.plate - self.floor))
        borders = tf.cast(share > EDGE, tf.int32) + tf.cast(share > 1.0 - EDGE, tf.int32)
        return tf.where(spread < AGREED, 0, 1 + borders)

    def sigma(self, depth: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """Half width of the 90 % interval over 1.645, float32 ``[q, H, W]``."""
        scales = tf.constant([self.scale[zone] for zone in ZONES], tf.float32)
        scale = tf.gather(scales, self.zone(depth, spread))
        return scale * half_width_unit(spread) / NORMAL

    def save(self, folder: Path) -> None:
        """Write ``intervals.json``."""
        text = json.dumps({"level": LEVEL, **dataclasses.asdict(self)}, indent=2) + "\n"
        (folder / INTERVALS).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Intervals | None":
        """Read what `save` wrote; None where nothing was calibrated."""
        if not (folder / INTERVALS).exists():
            return None
        try:
            values = json.loads((folder / INTERVALS).read_text(encoding="utf-8"))
            del values["level"]
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / INTERVALS}: cannot be read ({error}); train again"
            ) from error


class Checked(NamedTuple):
    """Estimates beside the truth, ``[m, H, W]`` each.

    Attributes:
        error: size of the error, float32, grey levels.
        unit: `half_width_unit` of the estimate, float32, grey levels.
        zone: index of the pixel's zone, int32.
    """

    error: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]
    zone: npt.NDArray[np.int32]

    def every_other(self, start: int) -> "Checked":
        """Every other image, from ``start`` on."""
        return Checked(self.error[start::2], self.unit[start::2], self.zone[start::2])


def calibrate(retriever: Retriever, images: npt.NDArray[np.uint8], seed: int) -> Intervals:
    """Find the scales for the weights in a retriever's settings on half of the held-out queries.

    The pairs of one half are not in the other, and no pair is among the neighbours of its own
    query; the coverage is that of the second half.

    Args:
        retriever: of one case, tuned.
        images: fab images of that case ``[n, H, W]``, without labels.
        seed: picks the pairs.

    Raises:
        InputError: there is no fab image or only one pair.
    """
    left_over = residuals(retriever, images[:IMAGES])
    pairs = np.random.default_rng(seed).permutation(len(retriever.storage))[: 2 * IMAGES]
    queries = HeldOutQueries.make(retriever, left_over, pairs)
    blending = Blending.of(retriever.config)
    uncalibrated = Intervals(
        weights=blending.weights,
        neighbours=blending.k,
        plate=retriever.pixels.plate,
        floor=_floor(retriever, pairs),
        images=(len(pairs) + 1) // 2,
        scale={},
        coverage={},
        half_width={},
        pixels={},
    )
    checked = _checked(retriever, queries, uncalibrated)
    first, second = checked.every_other(0), checked.every_other(1)
    scale = {zone: _scale(first, i) for i, zone in enumerate(ZONES)}
    coverage, half_width, pixels = summary(second, scale)
    return dataclasses.replace(
        uncalibrated, scale=scale, coverage=coverage, half_width=half_width, pixels=pixels
    )


def half_width_unit(spread: tf.Tensor) -> tf.Tensor:
    """What a zone's scale multiplies to the half width: ``sqrt(spread² + 0.5²)`` grey levels."""
    return tf.sqrt(tf.square(spread) + RESOLUTION**2)


def _floor(retriever: Retriever, pairs: npt.NDArray[np.intp]) -> int:
    """The usual level of pixels in the lower half of the holes."""
    values = retriever.storage.values[np.sort(pairs)]
    middle = (int(values.min()) + retriever.pixels.plate) // 2
    return int(np.median(values[values <= middle]))


def _checked(retriever: Retriever, queries: HeldOutQueries, intervals: Intervals) -> Checked:
    """The estimates of the queries beside their true depth, zones as the intervals have them."""
    parts = []
    wanted = num_to_search(retriever, intervals.blending)
    for batch in queries.batches():
        depth, spread, _, _ = depth_and_spread(
            retriever,
            tf.constant(batch.images),
            batch.neighbours(retriever, wanted),
            intervals.blending,
        )
        error = np.abs(depth.numpy() - batch.true_depth(retriever))
        zone = intervals.zone(depth, spread).numpy()
        parts.append(Checked(error, half_width_unit(spread).numpy(), zone))
    return Checked(*map(np.concatenate, zip(*parts, strict=True)))


def _scale(checked: Checked, zone: int) -> float:
    """The least scale whose uncovered share of an image's pixels is small enough in the mean.

    With ``n`` images the sum of their shares, and 1 for the image to come, must not exceed
    ``(1 - LEVEL)(n + 1)``. Too few images for any scale to do that get the largest that occurs.
    """
    inside = checked.zone == zone
    counts = inside.sum(axis=(1, 2))
    images = np.count_nonzero(counts)
    if images == 0:
        return 0.0
    share = np.broadcast_to((1.0 / np.maximum(counts, 1))[:, None, None], inside.shape)[inside]
    ratio = (np.maximum(checked.error - ROUNDING, 0.0) / checked.unit)[inside]
    order = np.argsort(-ratio)
    uncovered = np.cumsum(share[order])
    allowed = (1.0 - LEVEL) * (images + 1) - 1.0 + ROUNDING
    # The largest ratio that would no longer fit into what may stay uncovered is the scale.
    index = int(np.searchsorted(uncovered, allowed, side="right"))
    return float(ratio[order][min(index, len(ratio) - 1)])


def summary(
    checked: Checked, scale: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Coverage, mean half width and share of the pixels, by zone."""
    coverage, half_width, pixels = {}, {}, {}
    for i, zone in enumerate(ZONES):
        inside = checked.zone == i
        counts = inside.sum(axis=(1, 2))
        pixels[zone] = float(inside.mean()) if inside.size else 0.0
        if not counts.any():
            continue
        half = scale[zone] * checked.unit
        covered = (inside & (checked.error <= half + ROUNDING)).sum(axis=(1, 2))
        coverage[zone] = float(np.mean(covered[counts > 0] / counts[counts > 0]))
        half_width[zone] = float(half[inside].mean())
    return coverage, half_width, pixels
