"""How far an estimate may be off: the spread of the neighbours, made into calibrated intervals.

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
from semtf.retrieval import weighting
from semtf.retrieval.held_out import HeldOut, residuals
from semtf.retrieval.neighbours import Neighbours
from semtf.retrieval.retriever import Retriever

INTERVALS = "intervals.json"
LEVEL = 0.9
# Half widths of the normal distribution's 90 % interval in standard deviations.
NORMAL = 1.6448536
ZONES = ("certain", "plate", "wall", "floor")
# Depth, as a share of the hole's, that ends the plate's zone and, from below, the floor's.
EDGE = 0.1
# Depth values are whole grey levels.
RESOLUTION = 0.5
AGREED = 0.01
ROUNDING = 1e-3
SPREAD_NEIGHBOURS = 32
NEAREST_SPREAD = 8
# Weights of the spread count in such parts: few enough for exact sums in float32.
COUNTS = 128
IMAGES = 256


class Spread(NamedTuple):
    """Estimates of ``q`` images from ``k`` neighbours.

    Attributes:
        depth: float32 ``[q, H, W]``, grey levels.
        spread: float32 ``[q, H, W]``, grey levels.
        neighbours: those that made the estimate.
        weight: float32 ``[q, k]``.
    """

    depth: tf.Tensor
    spread: tf.Tensor
    neighbours: Neighbours
    weight: tf.Tensor


def num_to_search(retriever: Retriever, k: int, weights: Weights) -> int:
    """How many neighbours an estimate from ``k`` needs: one alone has no spread."""
    return max(k, NEAREST_SPREAD) if weights == "nearest" else retriever.pool(k, weights)


def depth_and_spread(
    retriever: Retriever, images: tf.Tensor, found: Neighbours, k: int, weights: Weights
) -> Spread:
    """Depth of images, and how far their neighbours disagree.

    The spread is the weighted standard deviation around the estimate, of the 32 neighbours of
    most weight; negative weights count with their size, all in 128ths. For ``"nearest"`` it is
    that of the eight most similar pairs, which count alike.

    Args:
        retriever: of the case.
        images: ``[q, H, W]``.
        found: `num_to_search` of each.
        k: neighbours of an estimate.
        weights: how they are weighted.
    """
    kept, weight = retriever.weighted(images, found, k, weights)
    depth = retriever.pixels.blend(kept, weight)
    share, some = tf.abs(weight), kept
    if weights == "nearest":
        share, some = weighting.uniform(found.similarity), found
    share, place = tf.math.top_k(share, min(SPREAD_NEIGHBOURS, share.shape[1]))
    some = Neighbours(*(tf.gather(part, place, batch_dims=1) for part in some))
    counts = tf.round(COUNTS * share / tf.reduce_sum(share, axis=1, keepdims=True))
    mean, variance = retriever.pixels.mean_and_variance(some, counts)
    return Spread(depth, tf.sqrt(variance + tf.square(mean - depth)), kept, weight)


@dataclass(frozen=True)
class Intervals:
    """Calibrated 90 % intervals of one case, for one way to weight.

    Attributes:
        weights: the way to weight.
        neighbours: how many.
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

    def holds_for(self, k: int, weights: Weights) -> bool:
        """Whether estimates are made the way that was calibrated."""
        return (k, weights) == (self.neighbours, self.weights)

    def zone(self, depth: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """Place of each pixel's zone in `ZONES`, int32, from the estimate alone.

        Where all neighbours agree the zone is ``certain``; elsewhere it follows from the depth.
        """
        below = (float(self.plate) - depth) / float(max(1, self.plate - self.floor))
        inside = tf.cast(below > EDGE, tf.int32) + tf.cast(below > 1.0 - EDGE, tf.int32)
        return tf.where(spread < AGREED, 0, 1 + inside)

    def sigma(self, depth: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """Half width of the 90 % interval over 1.645, float32 ``[q, H, W]``."""
        scales = tf.constant([self.scale[zone] for zone in ZONES], tf.float32)
        scale = tf.gather(scales, self.zone(depth, spread))
        return scale * _unit(spread) / NORMAL

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
    """Estimates of held-out queries beside the truth, ``[m, H, W]`` each."""

    error: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]
    zone: npt.NDArray[np.int32]

    def every_other(self, start: int) -> "Checked":
        return Checked(self.error[start::2], self.unit[start::2], self.zone[start::2])


def calibrate(retriever: Retriever, images: npt.NDArray[np.uint8], seed: int) -> Intervals:
    """Find the scales of a retriever's own weights on half of the held-out queries.

    The pairs of one half are not in the other, and no pair is among the neighbours of its own
    query; the coverage is that of the second half.

    Args:
        retriever: of one case, tuned.
        images: fab images of that case ``[n, H, W]``, without labels.
        seed: picks the pairs.

    Raises:
        InputError: there is no fab image or only one pair.
    """
    left = residuals(retriever, images[:IMAGES])
    own = np.random.default_rng(seed).permutation(len(retriever.storage))[: 2 * IMAGES]
    queries = HeldOut.made(retriever, left, own)
    config, plate = retriever.config, retriever.pixels.plate
    start = Intervals(
        config.weights, config.neighbours, plate, _floor(retriever, own), (len(own) + 1) // 2,
        {}, {}, {}, {},
    )  # fmt: skip
    checked = _checked(retriever, queries, start)
    first, second = checked.every_other(0), checked.every_other(1)
    scale = {zone: _scale(first, i) for i, zone in enumerate(ZONES)}
    coverage, half_width, pixels = summary(second, scale)
    return dataclasses.replace(
        start, scale=scale, coverage=coverage, half_width=half_width, pixels=pixels
    )


def _unit(spread: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.square(spread) + RESOLUTION**2)


def _floor(retriever: Retriever, pairs: npt.NDArray[np.intp]) -> int:
    """The usual level of pixels in the lower half of the holes."""
    values = retriever.storage.values[np.sort(pairs)]
    middle = (int(values.min()) + retriever.pixels.plate) // 2
    return int(np.median(values[values <= middle]))


def _checked(retriever: Retriever, queries: HeldOut, intervals: Intervals) -> Checked:
    parts = []
    k, weights = intervals.neighbours, intervals.weights
    many = num_to_search(retriever, k, weights)
    for batch in queries.batches():
        truth = retriever.storage.values[batch.own].astype(np.float32)
        found = depth_and_spread(
            retriever, tf.constant(batch.images), batch.neighbours(retriever, many), k, weights
        )
        error = np.abs(found.depth.numpy() - truth)
        zone = intervals.zone(found.depth, found.spread).numpy()
        parts.append(Checked(error, _unit(found.spread).numpy(), zone))
    return Checked(*map(np.concatenate, zip(*parts, strict=True)))


def _scale(checked: Checked, zone: int) -> float:
    """The least scale whose mean uncovered share of images' pixels is small enough.

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
    place = int(np.searchsorted(uncovered, allowed, side="right"))
    return float(ratio[order][min(place, len(ratio) - 1)])


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
