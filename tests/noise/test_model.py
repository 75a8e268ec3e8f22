"""A noise model in words and on disk."""

from pathlib import Path

import numpy as np
import pytest

from semtf.errors import InputError
from semtf.noise.model import NoiseModel


def model() -> NoiseModel:
    offset = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32)
    patterns = np.ones((1, 24, 16), np.float32)
    sizes = {"jitter_0": 0.3, "jitter_2": 0.4, "white": 2.0}
    return NoiseModel(sizes, offset, {"auc": 0.5}, patterns)


def test_kinds_of_a_group_add_up() -> None:
    assert model().groups == {
        "jitter": (pytest.approx(0.5), "px"),
        "white": (2.0, "levels"),
        "patterns": (1.0, "levels"),
    }


def test_patterns_vary_from_image_to_image() -> None:
    pattern = np.zeros((1, 8, 8), np.float32)
    pattern[0, 2] = 5.0
    noise = NoiseModel({}, np.zeros((8, 8), np.float32), {}, pattern)
    added = noise.added(np.full((400, 8, 8), 100.0), np.random.default_rng(0)) - 100
    assert added[:, 2].std() == pytest.approx(5, rel=0.1)
    assert added[:, 3:].std() == 0


def test_on_disk(tmp_path: Path) -> None:
    assert NoiseModel.load(tmp_path) is None
    model().save(tmp_path)
    loaded = NoiseModel.load(tmp_path)
    assert loaded is not None
    assert (loaded.sizes, loaded.found) == (model().sizes, model().found)
    np.testing.assert_array_equal(loaded.offset, model().offset)
    keys = np.full((2, 24, 16), 100, np.uint8)
    one, other = (m.added(keys, np.random.default_rng(1)) for m in (model(), loaded))
    np.testing.assert_array_equal(one, other)
    (tmp_path / "noise_patterns.npy").unlink()
    older = NoiseModel.load(tmp_path)
    assert older is not None
    assert len(older.patterns) == 0
    text = (tmp_path / "noise.json").read_text()
    (tmp_path / "noise.json").write_text(text.replace("white", "purple"))
    with pytest.raises(InputError, match=r"noise\.json.*purple"):
        NoiseModel.load(tmp_path)
