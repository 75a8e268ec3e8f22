"""Measurements in TensorFlow operations beside those of the polygons."""

import numpy as np
import pytest
import tensorflow as tf

from semtf.metrology.graph import NAMES, measured
from semtf.metrology.hole import measure

TOLERANCE = {
    "cd_rows_px": 0.1,
    "cd_columns_px": 0.1,
    "depth_levels": 0.3,
    "area_px2": 0.5,
    "volume_px2_levels": 5.0,
    "wall_width_px": 0.01,
}


def ovals() -> np.ndarray:
    """A flat plate and floor, smooth walls, off the middle and turned, with a little waviness."""
    rows, columns = np.mgrid[:72, :48]
    maps = []
    for turn, long, short, wall in ((0.0, 20, 12, 5), (0.3, 24, 14, 8), (-0.5, 17, 11, 4)):
        y, x = rows - 34.3, columns - 23.6 - turn
        u, v = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        radius = np.hypot(u / long, v / short)
        wavy = 1 + 0.04 * np.cos(5 * np.arctan2(v, u))
        along = np.clip((1 - radius / wavy) * short / wall + 0.5, 0, 1)
        maps.append(170 - 130 * along**2 * (3 - 2 * along))
    return np.stack(maps).astype(np.float32)


def test_measurements_are_those_of_the_polygons() -> None:
    maps = ovals()
    values, whole = measured(tf.constant(maps))
    assert whole.numpy().all()
    table = measure(maps)
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(
            values[:, i], table[name], rtol=0, atol=TOLERANCE[name], err_msg=name
        )


@pytest.mark.parametrize("change", ["flat", "cut"])
def test_maps_without_a_whole_hole(change: str) -> None:
    maps = ovals()[:1]
    maps = maps * 0 + 100 if change == "flat" else np.roll(maps, 30, axis=1)
    assert not measured(tf.constant(maps))[1].numpy().any()
    assert measure(maps)["area_px2"].isna().all()


def test_derivatives_are_those_of_small_changes() -> None:
    maps = ovals()[1:2].astype(np.float32)
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:72, :48]
    wave = np.sin(rows / 9 + generator.uniform()) * np.cos(columns / 7)[None]
    with tf.GradientTape(persistent=True) as tape:
        variable = tf.constant(maps)
        tape.watch(variable)
        parts = tf.unstack(measured(variable)[0], axis=1)
    step = 0.2
    up, down = (measure(maps + sign * step * wave).iloc[0] for sign in (1, -1))
    for name, part in zip(NAMES, parts, strict=True):
        slope = float(tf.reduce_sum(tape.gradient(part, variable) * wave))
        expected = (up[name] - down[name]) / (2 * step)
        assert slope == pytest.approx(expected, rel=0.1, abs=0.02 * abs(up[name]) / 10), name
