"""The cheap adapters against slow, obvious versions in NumPy."""

from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from semtf.adaptation.registry import CLASSES
from semtf.adaptation.statistical_adapters import (
    SIGMAS,
    AdaIN,
    FourierAmplitude,
    MomentMatching,
    PercentileMatching,
    StatisticalAdapter,
    bands,
)
from semtf.config import AdaptationConfig, ImageConfig
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.errors import InputError

CONFIG = AdaptationConfig()
IMAGE = ImageConfig(24, 16)
KINDS = {name: kind for name, kind in CLASSES.items() if issubclass(kind, StatisticalAdapter)}
NAMES = np.array([f"n{i}" for i in range(300)])


def smooth(count: int, seed: int, low: float, high: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(count, 24, 16))
    field = scipy.ndimage.gaussian_filter(noise, (0, 2, 2))
    return np.clip((low + high) / 2 + (high - low) * field, 0, 212).astype(np.uint8)


def sets() -> tuple[SimulatorSet, FabSet]:
    """More images than one chunk, of different tone and contrast."""
    sem = np.stack([smooth(300, 0, 40, 120), smooth(300, 1, 40, 120)], axis=1)
    return SimulatorSet(2, sem, sem[:, 0], NAMES, NAMES), FabSet(
        2, smooth(280, 2, 60, 200), NAMES[:280], NAMES[:280]
    )


SIMULATOR, FAB = sets()
SEM = SIMULATOR.mean_sem()
TARGET = FAB.images.astype(float)


def translated(kind: type[StatisticalAdapter]) -> np.ndarray:
    return np.asarray(kind.from_images(SIMULATOR, FAB, CONFIG)(tf.constant(SEM)))


def test_percentile_matching_is_numpys_interpolation() -> None:
    levels = np.arange(0, 100.5, 0.5)
    source, target = (
        np.mean([np.percentile(image, levels) for image in images], axis=0)
        for images in (SEM, TARGET)
    )
    np.testing.assert_allclose(
        translated(PercentileMatching), np.interp(SEM, source, target), atol=0.02
    )


def test_percentile_matching_finds_a_grey_curve() -> None:
    sem = SIMULATOR.sem
    curve = np.rint(20 + 150 * (np.arange(256) / 255) ** 0.5).astype(np.uint8)
    same = SimulatorSet(2, np.stack([sem[:, 0]] * 2, axis=1), sem[:, 0], NAMES, NAMES)
    fab = FabSet(2, curve[sem[:, 0]], NAMES, NAMES)
    adapted = PercentileMatching.from_images(same, fab, CONFIG).adapt(same.mean_sem())
    difference = adapted.astype(float) - fab.images
    assert np.abs(difference).mean() < 1
    assert np.abs(same.mean_sem() - fab.images).mean() > 20


def test_percentile_matching_of_constant_images_is_their_level() -> None:
    sem = np.full((3, 2, 24, 16), 50, np.uint8)
    fab = FabSet(1, np.full((3, 24, 16), 90, np.uint8), NAMES[:3], NAMES[:3])
    simulator = SimulatorSet(1, sem, sem[:, 0], NAMES[:3], NAMES[:3])
    for kind in (PercentileMatching, MomentMatching, AdaIN):
        adapted = kind.from_images(simulator, fab, CONFIG).adapt(simulator.mean_sem())
        np.testing.assert_array_equal(adapted, 90, err_msg=kind.__name__)


def test_moment_matching_gives_each_pixel_the_fabs_moments() -> None:
    adapted = translated(MomentMatching)
    np.testing.assert_allclose(adapted.mean(axis=0), TARGET.mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(adapted.std(axis=0), TARGET.std(axis=0), rtol=1e-3)
    row, column = 5, 7
    expected = (SEM[9, row, column] - SEM[:, row, column].mean()) / SEM[:, row, column].std()
    expected = expected * TARGET[:, row, column].std() + TARGET[:, row, column].mean()
    np.testing.assert_allclose(adapted[9, row, column], expected, rtol=1e-4)


def test_fourier_amplitude_swaps_low_frequencies_only() -> None:
    config = AdaptationConfig(fda_beta=0.13)
    adapter = FourierAmplitude.from_images(SIMULATOR, FAB, config)
    image = SEM[4].astype(float)
    spectrum = np.fft.fft2(image)
    mean = np.mean([np.abs(np.fft.fft2(other)) for other in TARGET], axis=0)
    for row in range(24):
        for column in range(16):
            if min(row, 24 - row) <= 2 and min(column, 16 - column) <= 2:
                phase = np.angle(spectrum[row, column])
                spectrum[row, column] = mean[row, column] * np.exp(1j * phase)
    expected = np.fft.ifft2(spectrum)
    assert np.abs(expected.imag).max() < 1e-9
    np.testing.assert_allclose(
        adapter(tf.constant(image[None], tf.float32))[0], expected.real, atol=0.02
    )


def test_fourier_amplitude_without_low_frequencies_changes_the_brightness_only() -> None:
    adapter = FourierAmplitude.from_images(SIMULATOR, FAB, AdaptationConfig(fda_beta=0.0))
    change = np.asarray(adapter(tf.constant(SEM[:3]))) - SEM[:3]
    np.testing.assert_allclose(change.std(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose((change + SEM[:3]).mean(axis=(1, 2)), TARGET.mean(), rtol=1e-4)


def test_bands_are_differences_of_gaussian_blurs_and_sum_to_the_image() -> None:
    found = np.asarray(bands(tf.constant(SEM[:2])))
    np.testing.assert_allclose(found.sum(axis=-1), SEM[:2], atol=1e-3)
    blurs = [
        scipy.ndimage.gaussian_filter(SEM[1].astype(float), s, mode="reflect", truncate=3.0)
        for s in SIGMAS
    ]
    np.testing.assert_allclose(found[1, ..., 0], SEM[1] - blurs[0], atol=1e-3)
    np.testing.assert_allclose(found[1, ..., 2], blurs[1] - blurs[2], atol=1e-3)
    np.testing.assert_allclose(found[1, ..., 3], blurs[2], atol=1e-3)


def test_adain_gives_each_band_of_each_image_the_fabs_mean_and_spread() -> None:
    image = SEM[11]
    own = np.asarray(bands(tf.constant(image[None])))[0]
    fab = np.asarray(bands(tf.constant(TARGET, tf.float32)))
    expected = np.zeros_like(image)
    for band in range(own.shape[-1]):
        mean = np.mean([other[..., band].mean() for other in fab])
        spread = np.mean([other[..., band].std() for other in fab])
        values = own[..., band]
        expected += (values - values.mean()) / values.std() * spread + mean
    np.testing.assert_allclose(translated(AdaIN)[11], expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("name", KINDS)
def test_saved_and_read_again_is_the_same(name: str, tmp_path: Path) -> None:
    adapter = KINDS[name].from_images(SIMULATOR, FAB, CONFIG)
    adapter.save(tmp_path)
    again = KINDS[name].load(tmp_path, IMAGE, CONFIG)
    adapted = adapter.adapt(SEM, batch=7)
    assert adapted.dtype == np.uint8
    np.testing.assert_array_equal(again.adapt(SEM), adapted)
    assert np.abs(adapted.mean() - TARGET.mean()) < np.abs(SEM.mean() - TARGET.mean())


def test_a_saved_model_holds_the_adapters(tmp_path: Path) -> None:
    adapters = [kind.from_images(SIMULATOR, FAB, CONFIG) for kind in KINDS.values()]
    archive = keras.export.ExportArchive()
    for adapter in adapters:
        for owner in adapter.tracked:
            archive.track(owner)
    spec = tf.TensorSpec([None, 24, 16], tf.float32)
    archive.add_endpoint(
        "serve", lambda images: tf.stack([a(images) for a in adapters]), input_signature=[spec]
    )
    archive.write_out(str(tmp_path / "model"))
    model = tf.saved_model.load(str(tmp_path / "model"))
    served = model.serve(tf.constant(SEM[:5]))
    for found, adapter in zip(served, adapters, strict=True):
        np.testing.assert_allclose(found, adapter(tf.constant(SEM[:5])), atol=1e-3)


def test_missing_or_foreign_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MomentMatching"):
        MomentMatching.load(tmp_path, IMAGE, CONFIG)
    MomentMatching.from_images(SIMULATOR, FAB, CONFIG).save(tmp_path)
    np.save(tmp_path / "target_std.npy", np.zeros((3, 3)))
    with pytest.raises(InputError, match="do not belong together"):
        MomentMatching.load(tmp_path, IMAGE, CONFIG)
