"""Training, calibration and the saved form of a classifier, on drawn holes."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semtf.classification.classifier import Classifier
from semtf.classification.fitting import even_batches
from semtf.classification.folds import stratified_folds
from semtf.classification.train import cross_validate, train
from semtf.config import ClassificationConfig, ImageConfig
from semtf.errors import InputError

SIZE = ImageConfig().shape
LIGHT = ClassificationConfig(
    backbone="small", batch=32, epochs=6, steps_per_epoch=15, learning_rate=5e-3
)


def drawn(
    count: int = 40,
    cases: tuple[int, ...] = (1, 2, 3, 4),
    seed: int = 0,
    size: tuple[int, int] = SIZE,
):
    """Noisy ellipses whose floor is darker the deeper the case, in sites of ten."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(cases, count)
    row, column = np.mgrid[: size[0], : size[1]]
    centre = (size[0] / 2, size[1] / 2)
    hole = ((column - centre[1]) / 17) ** 2 + ((row - centre[0]) / 28) ** 2 < 1
    clean = np.where(hole, 90 - 15 * labels[:, None, None], 160)
    images = (clean + generator.normal(0, 8, clean.shape)).clip(0, 212).astype(np.uint8)
    sites = np.array([f"site_{i // 10:05d}" for i in range(len(labels))])
    return images, labels, sites


def test_trained_classifier_knows_new_images_and_reloads(tmp_path: Path) -> None:
    images, cases, sites = drawn()
    trained = train(images, cases, sites, LIGHT, seed=0, folder=tmp_path)
    new, new_cases, _ = drawn(seed=1)
    probabilities = trained.probabilities(new)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    right = np.array(trained.cases)[probabilities.argmax(axis=1)] == new_cases
    assert right.mean() > 0.97
    loaded = Classifier.load(tmp_path)
    assert (loaded.cases, loaded.temperature) == (trained.cases, trained.temperature)
    assert loaded.threshold == trained.threshold
    assert sum(part["count"] for part in loaded.metrics["reliability"]) == loaded.metrics["images"]
    np.testing.assert_array_equal(loaded.probabilities(new), probabilities)
    np.testing.assert_allclose(loaded.probabilities(new.astype(np.float64)), probabilities)
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + LIGHT.epochs


def test_a_single_case_is_certain_after_one_step(tmp_path: Path) -> None:
    images, cases, sites = drawn(cases=(3,))
    trained = train(images, cases, sites, LIGHT, seed=0, folder=tmp_path)
    np.testing.assert_array_equal(trained.probabilities(images), np.ones((40, 1)))
    assert (trained.cases, trained.threshold) == ((3,), 0)
    (row,) = pd.read_csv(tmp_path / "history.csv").to_dict("records")
    assert (row["accuracy"], row["val_accuracy"], row["loss"]) == (1, 1, 0)


def test_every_image_is_predicted_by_a_classifier_that_did_not_see_its_site(
    tmp_path: Path,
) -> None:
    images, cases, sites = drawn()
    config = dataclasses.replace(LIGHT, folds=2)
    classifiers, probabilities = cross_validate(
        images, cases, sites, config, seed=0, folder=tmp_path
    )
    fold = stratified_folds(cases, sites, 2, seed=0)
    for k, classifier in enumerate(classifiers):
        assert classifier.metrics["images"] == (fold == k).sum()
        loaded = Classifier.load(tmp_path / f"fold_{k}").probabilities(images[fold == k])
        np.testing.assert_array_equal(probabilities[fold == k], loaded)
    assert (probabilities.argmax(axis=1) == cases - 1).mean() > 0.95


def test_the_first_fold_is_held_out_where_the_settings_say_so(tmp_path: Path) -> None:
    images, cases, sites = drawn(20)
    config = dataclasses.replace(LIGHT, epochs=1, steps_per_epoch=1, hold_out="fold", folds=2)
    trained = train(images, cases, sites, config, seed=3, folder=tmp_path / "fold")
    first = stratified_folds(cases, sites, 2, 3) == 0
    given = train(images, cases, sites, config, seed=3, folder=tmp_path / "given", held_out=first)
    assert trained.metrics == given.metrics
    assert trained.metrics["images"] == first.sum()


def test_one_site_a_case_trains_without_calibration(tmp_path: Path) -> None:
    images, cases, _ = drawn()
    sites = np.full(len(images), "site_00000")
    classifier = train(images, cases, sites, LIGHT, seed=0, folder=tmp_path)
    assert (classifier.temperature, classifier.metrics["images"]) == (1.0, 0)


@pytest.mark.parametrize("size", [(64, 40), (80, 48)])
def test_images_of_another_size_are_learned_and_read_again(
    size: tuple[int, int], tmp_path: Path
) -> None:
    trained = train(*drawn(size=size), LIGHT, seed=0, folder=tmp_path)
    images, cases, _ = drawn(count=10, seed=1, size=size)
    loaded = Classifier.load(tmp_path)
    assert loaded.shape == size
    probabilities = loaded.probabilities(images)
    np.testing.assert_array_equal(probabilities, trained.probabilities(images))
    assert (probabilities.argmax(axis=1) == cases - 1).mean() > 0.9
    with pytest.raises(InputError, match=rf"takes \[n, {size[0]}, {size[1]}\]"):
        loaded.probabilities(drawn(count=1)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, c, s: (i[:0], c[:0], s[:0]), "no fab images"),
        (lambda i, c, s: (i, c[:-1], s), "one case and one site"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(*change(*drawn(10)), LIGHT, seed=0, folder=tmp_path)


def test_published_weights_for_another_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b0\.h5: published weights fit efficientnet_b0 only"):
        train(*drawn(10), LIGHT, seed=0, folder=tmp_path, weights_file=tmp_path / "b0.h5")


def test_wrong_shape_and_missing_folder_are_named(tmp_path: Path) -> None:
    images, cases, sites = drawn(10)
    classifier = train(images, cases, sites, LIGHT, seed=0, folder=tmp_path)
    with pytest.raises(InputError, match=rf"\(40, {SIZE[1]}, {SIZE[0]}\)"):
        classifier.probabilities(images.transpose(0, 2, 1))
    with pytest.raises(InputError, match="no classifier there"):
        Classifier.load(tmp_path / "nowhere")


@pytest.mark.parametrize("replicas", [2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 7, 19, 256, 257, 1000, 1027])
def test_every_replica_judges_as_many_images_in_every_batch(count: int, replicas: int) -> None:
    judged, batch = even_batches(count, replicas)
    assert batch <= 256
    batches = max(-(-count // 256), 1)
    assert count - replicas * batches < judged <= count or (judged == 0 and count < replicas)
    if judged:
        assert judged % batch == batch % replicas == 0
    assert even_batches(count, 1) == (count, 256)
