"""``POST /measure``: numbers as from Python, and refusals that say why."""

import json

import numpy as np
import pytest

from semtf.metrology.hole import measure
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.measure_route import MAX_MAPS, measurements


def hole(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:72, :48]
    return 150 - 120 * np.clip(0.5 + (radius - np.hypot(rows - 36, columns - 24)) / 6, 0, 1)


def test_measurements_and_edges() -> None:
    maps = np.stack([hole(12.0), hole(-9.0)])
    body = {"depth": maps.tolist(), "pixel_size_nm": 1.5, "level_nm": 2}
    answer = json.loads(measurements(json.dumps(body).encode()))
    first, second = answer["measurements"]
    expected = measure(maps[0], 1.5, 2.0).iloc[0]
    assert set(first) == set(expected.index)
    np.testing.assert_allclose(list(first.values()), expected[list(first)], rtol=1e-5)
    assert second["plate_level"] == 150
    assert second["area_px2"] is None
    edge, nothing = answer["edges"]
    np.testing.assert_allclose(np.hypot(*(np.array(edge) - [36, 24]).T), 12.0, atol=0.1)
    assert nothing is None
    without = json.dumps({"depth": maps.tolist()}).encode()
    plain = json.loads(measurements(without))["measurements"][0]
    assert plain["sidewall_angle_deg"] is None
    assert "cd_rows_nm" not in plain


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "JSON Parse error"),
        ("[" * 100_000, "JSON Parse error"),
        ("[]", "Is not object"),
        ("{}", "Missing 'depth' key"),
        ('{"depth": "x"}', "numbers"),
        ('{"depth": [[[1, 2], [3]]]}', "numbers"),
        ('{"depth": [[1, 2], [3, 4]]}', "[n][rows][columns]"),
        ('{"depth": []}', "[n][rows][columns]"),
        ('{"depth": [[[1, 2], [3, 4]]]}', "shape"),
        ('{"depth": [[[1, 1, 1], [1, NaN, 1], [1, 1, 1]]]}', "finite"),
        ('{"depth": [[[1, 1, 1], [1, Infinity, 1], [1, 1, 1]]]}', "finite"),
        ('{"depth": [[[1]]], "pixels": 3}', "pixels: not known"),
        (json.dumps({"depth": np.ones((1, 9, 9)).tolist(), "level_nm": -1}), "level_nm -1"),
        (json.dumps({"depth": np.ones((1, 9, 9)).tolist(), "level_nm": "2"}), "level_nm '2'"),
        (json.dumps({"depth": np.ones((MAX_MAPS + 1, 3, 3)).tolist()}), "from 1 to"),
    ],
)
def test_refusals(body: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        measurements(body.encode())
    assert refused.value.status == 400
    assert message in str(refused.value)
