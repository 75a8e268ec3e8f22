"""Propagated uncertainties beside those of draws."""

import numpy as np
import pytest
import tensorflow as tf

from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.propagation import UNKNOWN, ErrorModel
from semtf.estimation.uncertain_measurements import uncertainties
from semtf.metrology.graph import NAMES
from tests.metrology.test_graph import ovals


def patterns() -> ErrorPatterns:
    """A wave over the whole map, another across it, and a little that is independent."""
    rows, columns = np.mgrid[:72, :48] / 12.0
    waves = np.stack([np.cos(rows), np.sin(columns), 0.5 + 0.0 * rows])
    return ErrorPatterns((0.5 * waves).astype(np.float32), np.full((72, 48), 0.1, np.float32))


def test_propagation_agrees_with_draws() -> None:
    depth = ovals()
    share = (170 - depth) / 130
    # Sure on the plate, least sure on the wall, as estimates are.
    sigma = np.asarray(0.1 + 8 * share * (1 - share) + 0.5 * share, np.float32)
    model = ErrorModel({2: patterns()}, (72, 48))
    found = model.measurements(tf.constant(depth), tf.constant(sigma), tf.constant([2, 2, 2]))
    for i, one in enumerate(depth):
        drawn = uncertainties(one, sigma[i], patterns(), draws=400)
        for name in NAMES:
            assert float(found[f"u_{name}"][i]) == pytest.approx(
                drawn[f"u_{name}"], rel=0.15, abs=1e-3
            ), (i, name)


def test_what_is_not_known_is_said() -> None:
    depth = ovals()[:2]
    depth[1] = 150.0
    sigma = np.ones(depth.shape, np.float32)
    model = ErrorModel({2: patterns()}, (72, 48))
    found = model.measurements(tf.constant(depth), tf.constant(sigma), tf.constant([3, 2]))
    assert float(found["area_px2"][0]) > 0
    assert [float(found[f"{prefix}area_px2"][1]) for prefix in ("", "u_")] == [UNKNOWN] * 2
    assert float(found["u_area_px2"][0]) == UNKNOWN
    none = ErrorModel({}, (72, 48))
    found = none.measurements(tf.constant(depth), tf.constant(sigma), tf.constant([3, 2]))
    assert all(float(found[f"u_{name}"][0]) == UNKNOWN for name in NAMES)
