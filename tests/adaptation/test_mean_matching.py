"""The mean of adapted images is the fab's: in closed form, in files, after a training."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from semtf.adaptation import adapter
from semtf.adaptation.base import Generated
from semtf.adaptation.epoch_selection import CriterionEvaluator
from semtf.adaptation.mean_matching import (
    OFFSET,
    load_offset,
    mean_image,
    mean_offset,
    save_offset,
    with_mean,
)
from semtf.adaptation.task import AdaptationTask
from semtf.adaptation.train import load_generator
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError
from semtf.presets import preset

IMAGE = ImageConfig(24, 16)
CONFIG = AdaptationConfig(
    width=4,
    batch=2,
    first_epochs=2,
    other_epochs=2,
    steps_per_epoch=2,
    tensorboard=False,
    warm_up_steps=0,
)


def sets() -> tuple[SimulatorSet, FabSet]:
    """Simulator images, and fab images of which some rows are darker."""
    rng = np.random.default_rng(0)
    sem = rng.integers(60, 140, (20, 2, 24, 16), dtype=np.uint8)
    fab = rng.integers(80, 160, (30, 24, 16), dtype=np.uint8)
    fab[:, 3:6] -= 30
    names = np.array([f"n{i}" for i in range(30)])
    return SimulatorSet(1, sem, sem[:, 0], names[:20], names[:20]), FabSet(1, fab, names, names)


def test_the_mean_moves_and_nothing_else() -> None:
    images = np.stack([np.full((2, 2), grey, np.uint8) for grey in (100, 110, 120)])
    mean = np.array([[113.4, 110.0], [107.0, 110.6]], np.float32)
    np.testing.assert_allclose(mean_offset(images, mean), [[3.4, 0], [-3, 0.6]], rtol=1e-5)
    moved = with_mean(images, mean)
    np.testing.assert_array_equal(moved[1], [[113, 110], [107, 111]])
    np.testing.assert_array_equal(moved[2] - moved[0], np.full((2, 2), 20))


def test_grey_levels_end_at_black_and_white() -> None:
    images = np.stack([np.full((1, 1), grey, np.uint8) for grey in (0, 100, 200)])
    assert with_mean(images, np.array([[180]], np.float32)).ravel().tolist() == [80, 180, 255]
    assert with_mean(images, np.array([[20]], np.float32)).ravel().tolist() == [0, 20, 120]


def test_an_offset_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert load_offset(tmp_path, (2, 3)) is None
    offset = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
    save_offset(offset, tmp_path)
    found = load_offset(tmp_path, (2, 3))
    assert found is not None
    np.testing.assert_array_equal(found, offset)


@pytest.mark.parametrize("damage", ["size", "nan", "rubbish", "empty"])
def test_a_damaged_offset_is_named(damage: str, tmp_path: Path) -> None:
    save_offset(np.full((2, 3), np.nan if damage == "nan" else 1, np.float32), tmp_path)
    if damage in ("rubbish", "empty"):
        (tmp_path / OFFSET).write_bytes(b"" if damage == "empty" else b"no array")
    with pytest.raises(InputError, match=rf"{OFFSET}: .*train the case again"):
        load_offset(tmp_path, (3, 2) if damage == "size" else (2, 3))


@pytest.mark.parametrize("name", ["cyclegan", "cut"])
def test_a_trained_adapter_has_the_mean_of_the_fab(name: str, tmp_path: Path) -> None:
    simulator, fab = sets()
    config = dataclasses.replace(CONFIG, adapter=name)
    adapter.fit(AdaptationTask(simulator, fab, IMAGE, config, seed=0), tmp_path)
    loaded = adapter.load(tmp_path, IMAGE, config)
    adapted = loaded.adapt(simulator.mean_sem())
    left = np.abs(adapted.mean(axis=0) - mean_image(fab))
    assert left.mean() < 0.3  # rounding; a few pixels are clipped
    generated = Generated(load_generator(tmp_path, IMAGE, config)).adapt(simulator.mean_sem())
    offset = load_offset(tmp_path, IMAGE.shape)
    assert offset is not None
    assert np.abs(offset).max() > 5
    np.testing.assert_allclose(adapted, np.clip(generated + offset, 0, 255), atol=1.01)


def test_without_it_the_generator_is_the_adapter(tmp_path: Path) -> None:
    simulator, fab = sets()
    config = dataclasses.replace(CONFIG, match_mean=False)
    fitted = adapter.fit(AdaptationTask(simulator, fab, IMAGE, config, seed=0), tmp_path)
    generated = Generated(load_generator(tmp_path, IMAGE, config))
    np.testing.assert_array_equal(
        fitted.adapt(simulator.mean_sem()), generated.adapt(simulator.mean_sem())
    )
    assert not (tmp_path / OFFSET).exists()


def test_epochs_are_judged_with_the_mean_matched(tmp_path: Path) -> None:
    simulator, fab = sets()
    adapter.fit(AdaptationTask(simulator, fab, IMAGE, CONFIG, seed=0), tmp_path)
    pixels = [float(row.split(",")[2]) for row in _rows(tmp_path / "criterion.csv")]
    assert pixels[0] > 10
    assert max(pixels[1:]) < 1
    assert CriterionEvaluator(simulator, fab).mean == pytest.approx(mean_image(fab))


def _rows(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[1:]


def test_the_recipe_leaves_images_as_generated() -> None:
    assert not preset("challenge").adaptation.match_mean
    assert preset("quick").adaptation.match_mean
    assert preset("best").adaptation.match_mean
