"""The usual maxima of fab images, and the flag of images that have others."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from semtf import pipeline
from semtf.config import RunConfig
from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.loading import load_models
from semtf.estimation.maxima import MAXIMA, Maxima
from semtf.run import Run


@pytest.fixture(scope="module")
def images(fab: Path) -> np.ndarray:
    return np.asarray(open_dataset(fab).test().images)


def off_scale(estimator: Estimator, images: np.ndarray) -> list[bool]:
    return ["unusual_scale" in flags for flags in estimator.predict(images).flags]


def scaled(images: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(np.rint(images * factor), 0, 255).astype(np.uint8)


def test_one_maximum_has_a_margin_of_5_per_cent() -> None:
    assert Maxima.of(np.full(30, 212, np.uint8)) == pytest.approx((0.95 * 212, 1.05 * 212))


def test_spread_maxima_widen_the_range() -> None:
    low, high = Maxima.of(np.linspace(100, 200, 1001))
    # Quantiles 100.5, 150 and 199.5; half of 49.5 and 5 % of 150 beyond them.
    assert (low, high) == pytest.approx((100.5 - 24.75 - 7.5, 199.5 + 24.75 + 7.5))
    assert Maxima.around([Maxima(3, 4), Maxima(1, 2)]) == (1, 4)


def test_maxima_come_back_and_old_runs_have_212(tmp_path: Path) -> None:
    assert Maxima.load(tmp_path) == Maxima.of([212])
    Maxima(12.5, 99.25).save(tmp_path)
    assert Maxima.load(tmp_path) == (12.5, 99.25)
    for text in ("{", '{"low": 1}', "[]", '{"low": 1, "high": null}'):
        (tmp_path / MAXIMA).write_text(text)
        with pytest.raises(InputError, match=r"maxima\.json: cannot be read"):
            Maxima.load(tmp_path)


def test_copies_of_another_brightness_are_flagged(run: Run, images: np.ndarray) -> None:
    estimator = load(run.path)
    assert not any(off_scale(estimator, images))
    assert not any(off_scale(estimator, images.astype(np.float64)))
    for factor in (0.25, 0.5, 0.9, 1.2):
        assert all(off_scale(estimator, scaled(images, factor))), factor
    mixed = np.concatenate([images[:2], scaled(images[2:4], 0.5), np.zeros_like(images[:1])])
    assert off_scale(estimator, mixed) == [False, False, True, True, True]


def test_floats_that_are_no_grey_levels_are_refused(run: Run, images: np.ndarray) -> None:
    estimator = load(run.path)
    for ask in (estimator.predict, estimator.classify):
        with pytest.raises(InputError, match=r"image 0 has floats of at most .* multiply"):
            ask(images / 255)
        with pytest.raises(InputError, match="images of type bool"):
            ask(images > 100)
        with pytest.raises(InputError, match="image 0 has values up to 54484"):
            ask(images.astype(np.uint16) * 257)


def test_a_run_without_noted_maxima_still_loads(
    run: Run, images: np.ndarray, tmp_path: Path
) -> None:
    old = Run.open(shutil.copytree(run.path, tmp_path / "old"))
    for case in old.cases:
        (old.storage(case) / MAXIMA).unlink()
    estimator = Estimator(load_models(old, "exact"))
    assert estimator.models.maxima == Maxima.of([212])
    both = np.concatenate([images[:2], scaled(images[:2], 0.5)])
    assert off_scale(estimator, both) == [False, False, True, True]


def test_maxima_are_learned_from_the_fab(
    fab: Path, small_config: RunConfig, images: np.ndarray, tmp_path: Path
) -> None:
    """A fab whose images reach 255, given as a plain folder, gets its own range."""
    from PIL import Image

    plain = tmp_path / "plain"
    plain.mkdir()
    for i, image in enumerate(open_dataset(fab).fab(2).images):
        Image.fromarray(scaled(image, 255 / 212)).save(plain / f"{i:03d}.png")
    config = small_config.with_settings(
        {"adaptation.adapter": "none", "classification.backbone": "statistics"}
    )
    other = pipeline.train(fab, 2, run=tmp_path / "run", config=config, fab={2: plain})
    estimator = load(other.path)
    assert estimator.models.maxima == pytest.approx((0.95 * 255, 1.05 * 255))
    assert not any(off_scale(estimator, scaled(images[:4], 255 / 212)))
    assert all(off_scale(estimator, images[:4]))
