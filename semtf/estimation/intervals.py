"""Calibrated intervals: σ of each pixel from the neighbours' spread and the estimators' difference.

The half width of a pixel's 90 % interval is ``scale · u · g`` grey levels. The unit u follows from
the neighbours' spread and from how far the estimators are apart, the growth g from how much less
similar the image is to the storage than usual; the scale goes over from zone to zone.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from semtf.config import Weights
from semtf.errors import InputError
from semtf.estimation.averaging import Combined
from semtf.json_fields import parse_json
from semtf.retrieval.blending import Blending

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
# Spread in grey levels at which half of a unit counts.
FADE = 0.05


@dataclass(frozen=True)
class Intervals:
    """Calibrated 90 % intervals of one case, for the blending that they were calibrated with.

    Attributes:
        weights: how neighbours were weighted.
        neighbours: how many were blended.
        plate: grey level of the plate.
        floor: grey level of the floor.
        images: queries that the scales were found on.
        scale: by zone, half width of the interval over its unit.
        coverage: by zone, share of the pixels inside their interval, the mean over other
            held-out queries; missing where none has such a pixel.
        half_width: by zone, the mean half width there, in grey levels.
        pixels: by zone, the share of all pixels that lie in it.
        seam: share of the hole's depth on each side of a border over which the scale goes over
            from one zone to the next; 0 in runs of older versions.
        disagreement: how much the squared difference of the estimators counts beside the squared
            spread.
        distance: what usual images lack to a similarity of 1; more than that lets intervals grow.
            0 in runs of older versions: they do not grow.
        rare: σ in grey levels where all neighbours agree: 0 where that was right for 99 % of such
            pixels of the queries, else the root of their mean squared error.
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
    seam: float = 0.0
    disagreement: float = 0.0
    distance: float = 0.0
    rare: float = 0.0

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
        share = self._share(depth)
        borders = tf.cast(share > EDGE, tf.int32) + tf.cast(share > 1.0 - EDGE, tf.int32)
        return tf.where(spread < AGREED, 0, 1 + borders)

    def unit(self, combined: Combined, similarity: tf.Tensor) -> tf.Tensor:
        """What the scale multiplies, float32 ``[q, H, W]``, grey levels.

        Args:
            combined: the estimates.
            similarity: of the most similar neighbour, ``[q]``.
        """
        square = tf.square(combined.spread)
        unit = square + RESOLUTION**2
        if self.distance > 0:
            # It fades out where neighbours agree, so that there is no seam to certain pixels.
            agreeing = square / (square + FADE**2)
            unit = agreeing * (unit + self.disagreement * tf.square(combined.difference))
            lacking = tf.maximum(1.0, (1.0 - similarity) / self.distance)
            unit *= lacking[:, None, None]
        return tf.sqrt(unit)

    def scales(self, depth: tf.Tensor, spread: tf.Tensor) -> tf.Tensor:
        """The scale of each pixel: that of its zone, and between zones a line from one to the
        other."""
        if not self.seam:
            scales = tf.constant([self.scale[zone] for zone in ZONES], tf.float32)
            return tf.gather(scales, self.zone(depth, spread))
        share = self._share(depth)
        plate, wall, floor = (self.scale[zone] for zone in ZONES[1:])
        first, second = (
            tf.clip_by_value((share - border) / (2 * self.seam) + 0.5, 0.0, 1.0)
            for border in (EDGE, 1.0 - EDGE)
        )
        return plate + (wall - plate) * first + (floor - wall) * second

    def sigma(self, combined: Combined, similarity: tf.Tensor) -> tf.Tensor:
        """Half width of the 90 % interval over 1.645, float32 ``[q, H, W]``."""
        scale = self.scales(combined.depth, combined.spread)
        half_width = scale * self.unit(combined, similarity)
        if self.distance > 0:
            # An image like nothing in the storage is as uncertain as a hole is deep, not more.
            half_width = tf.minimum(half_width, float(self.plate - self.floor))
        return tf.sqrt(tf.square(half_width / NORMAL) + self.rare**2)

    def _share(self, depth: tf.Tensor) -> tf.Tensor:
        """How deep pixels lie, from 0 on the plate to 1 on the floor."""
        return (float(self.plate) - depth) / float(max(1, self.plate - self.floor))

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
            values = parse_json((folder / INTERVALS).read_text(encoding="utf-8"))
            del values["level"]
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder / INTERVALS}: cannot be read ({error}); train again"
            ) from error
