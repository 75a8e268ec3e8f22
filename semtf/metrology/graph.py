"""The main measurements of a hole in TensorFlow operations: exported, and with derivatives.

`semtf.metrology.hole.measure` has the definitions. Areas and perimeters are those of the same
polygons, summed over the cells of the grid (marching squares) in place of following the contour;
so holes are not told apart, and a map with several has the area of all.
"""

from typing import NamedTuple

import tensorflow as tf

from semtf.autograph import no_autograph
from semtf.metrology.hole import FLOOR, ROUNDS, WALL

NAMES = (
    "cd_rows_px", "cd_columns_px", "depth_levels", "area_px2", "volume_px2_levels",
    "wall_width_px",
)  # fmt: skip
"""What `measured` gives, columns of `semtf.metrology.hole.measure`."""
TINY = 1e-6
NEAR = 1.0
LEAST = 3.0
"""Levels from the lowest to the highest pixel: a flatter map has no hole."""


class _Levels(NamedTuple):
    """Grey levels ``[q]`` of plate and floor."""

    plate: tf.Tensor
    floor: tf.Tensor

    def at(self, part: float) -> tf.Tensor:
        """The level at a part of the depth, from 0 on the plate to 1 on the floor."""
        return self.plate + part * (self.floor - self.plate)


@no_autograph
def measured(depth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Measure the hole of each depth map.

    Args:
        depth: float32 ``[q, H, W]``, grey levels, smaller is deeper.

    Returns:
        The measurements ``[q, 6]`` in the order of `NAMES`, differentiable, and whether the map
        has a whole hole, bool ``[q]``; where it has none its measurements mean nothing.
    """
    low, high = tf.reduce_min(depth, [1, 2]), tf.reduce_max(depth, [1, 2])
    levels = _Levels(high, low)
    for _ in range(ROUNDS):
        levels = _levels(depth, depth < _wide(levels.at(0.5)))
    below = depth - _wide(levels.at(0.5))
    area, perimeter = _area_and_perimeter(below)
    upper, lower = (_area_and_perimeter(depth - _wide(levels.at(part)))[0] for part in WALL)
    values = [
        _chord(below, axis=1),
        _chord(below, axis=2),
        levels.plate - levels.floor,
        area,
        tf.reduce_sum(_wide(levels.plate) - depth, [1, 2]),
        (upper - lower) / tf.maximum(perimeter, TINY),
    ]
    inside = below < 0
    border = inside[:, 0] | inside[:, -1], inside[:, :, 0] | inside[:, :, -1]
    cut = tf.reduce_any(border[0], 1) | tf.reduce_any(border[1], 1)
    whole = tf.reduce_any(inside, [1, 2]) & ~cut & (high - low >= LEAST)
    return tf.stack(values, axis=1), whole


def _wide(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None]


def _levels(depth: tf.Tensor, inside: tf.Tensor) -> _Levels:
    """The median outside, and the mean over the middle third inside.

    A median follows the pixels near it alone. Its derivative is that of their mean, weighted by a
    Gaussian of `NEAR` levels: few errors are smaller, and single pixels would say nothing.
    """
    median = _median(depth, ~inside)
    near = tf.exp(-0.5 * tf.square((depth - _wide(median)) / NEAR))
    near = tf.stop_gradient(tf.where(inside, 0.0, near))
    mean = tf.reduce_sum(near * depth, [1, 2]) / tf.maximum(tf.reduce_sum(near, [1, 2]), TINY)
    plate = mean + tf.stop_gradient(median - mean)
    distance = _squared_distance(inside)
    deepest = tf.reduce_max(distance, [1, 2], keepdims=True)
    middle = tf.cast(inside & (distance >= FLOOR**2 * deepest - TINY), tf.float32)
    total = tf.reduce_sum(middle * depth, [1, 2])
    return _Levels(plate, total / tf.maximum(tf.reduce_sum(middle, [1, 2]), 1.0))


def _median(depth: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    pixels = depth.shape[1] * depth.shape[2]
    ordered = tf.sort(tf.reshape(tf.where(where, depth, depth.dtype.max), [-1, pixels]), axis=1)
    count = tf.maximum(tf.reduce_sum(tf.cast(where, tf.int32), [1, 2]), 1)
    two = tf.gather(ordered, tf.stack([(count - 1) // 2, count // 2], axis=1), batch_dims=1)
    return tf.reduce_mean(two, axis=1)


def _squared_distance(inside: tf.Tensor) -> tf.Tensor:
    """Squared distance of each pixel inside to the nearest outside, along one axis after another
    (Felzenszwalb and Huttenlocher, 2012)."""
    height, width = inside.shape[1:]
    distance = tf.where(inside, float(height**2 + width**2), 0.0)
    for axis, size in ((1, height), (2, width)):
        places = tf.range(float(size))
        apart = tf.square(places[:, None] - places)
        apart = apart[..., None] if axis == 1 else apart
        distance = tf.reduce_min(tf.expand_dims(distance, axis) + apart, axis + 1)
    return distance


def _area_and_perimeter(below: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the polygons where maps ``[q, H, W]`` are negative, ``[q]`` each."""
    areas, lengths = _cells(below)
    return tf.reduce_sum(areas, [1, 2]), tf.reduce_sum(lengths, [1, 2])


def _cells(below: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Area inside and length of the edge in each square of four pixels, ``[q, H - 1, W - 1]``."""
    across = _share_inside(below[:, :, :-1], below[:, :, 1:])
    down = _share_inside(below[:, :-1], below[:, 1:])
    top, bottom, left, right = across[:, :-1], across[:, 1:], down[:, :, :-1], down[:, :, 1:]
    inside = tf.cast(below < 0, tf.int32)
    corners = inside[:, :-1] + inside[:, 1:]
    corners = corners[:, :, :-1] + corners[:, :, 1:]
    # Of one or two corners a triangle or a trapezium; of more, what these leave of the square.
    part = (top + bottom) * (left + right) / 2
    others = (2 - top - bottom) * (2 - left - right) / 2
    square = tf.square(top - bottom) + tf.square(left - right)
    length = tf.where(square > 0, tf.sqrt(tf.where(square > 0, square, 1.0)), 0.0)
    return tf.where(corners <= 2, part, 1 - others), length


def _share_inside(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """How much of the line between two pixels is negative, interpolated linearly."""
    size = tf.abs(one) + tf.abs(other)
    return tf.math.divide_no_nan(tf.nn.relu(-one) + tf.nn.relu(-other), size)


def _chord(below: tf.Tensor, axis: int) -> tf.Tensor:
    """Outer distance along an axis of the edge's crossings with the line through the centroid."""
    areas = tf.stop_gradient(_cells(below)[0])
    mass = tf.reduce_sum(areas, axis)
    places = tf.range(float(mass.shape[1])) + 0.5
    at = tf.math.divide_no_nan(tf.reduce_sum(mass * places, 1), tf.reduce_sum(mass, 1))
    first = tf.cast(at, tf.int32)
    lines = [tf.gather(below, first + i, axis=3 - axis, batch_dims=1) for i in (0, 1)]
    share = (at - tf.cast(first, tf.float32))[:, None]
    line = (1 - share) * lines[0] + share * lines[1]
    return _crossing(line[:, ::-1]) - (float(line.shape[1] - 1) - _crossing(line))


def _crossing(line: tf.Tensor) -> tf.Tensor:
    """How far from its end lines ``[q, n]`` become negative for the first time, interpolated."""
    size = line.shape[1]
    start = tf.argmax(line < 0, axis=1, output_type=tf.int32)
    before, after = (tf.gather(line, tf.maximum(start - i, 0), batch_dims=1) for i in (1, 0))
    share = tf.math.divide_no_nan(before, before - after)
    return float(size - 1) - (tf.cast(start, tf.float32) - 1 + share)
