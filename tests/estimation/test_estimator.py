"""The estimator: what it returns, doubt between cases, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from semtf.cases import CHALLENGE, find_case
from semtf.config import Weights
from semtf.data.dataset import open_dataset
from semtf.data.image_folder import open_images
from semtf.errors import InputError
from semtf.estimation.estimator import Estimator, load
from semtf.estimation.loading import load_models
from semtf.estimation.preparation import read_limit
from semtf.retrieval.storage import Storage
from semtf.run import Run


@pytest.fixture(scope="module")
def images(fab: Path) -> np.ndarray:
    return np.asarray(open_dataset(fab).test().images)


def test_a_stored_key_finds_its_own_depth(run: Run) -> None:
    models = load_models(run, "exact")
    for case in run.cases:
        # A classifier that is sure of this case, so that only the retrieval is looked at.
        only = dataclasses.replace(models, retrievers={case: models.retrievers[case]})
        storage = Storage.open(run.storage(case))
        result = Estimator(only, only.blendings(1, "nearest")).predict(storage.keys[:5])
        np.testing.assert_allclose(result.similarity, 1, atol=1e-4)
        np.testing.assert_array_equal(result.grey(), storage.values[:5])
        assert [n[0].pair for n in result.neighbours] == storage.names[:5].tolist()
        assert all(n[0].shift == (0, 0) and n[0].weight == 1 for n in result.neighbours)


def test_result_has_one_row_an_image(run: Run, images: np.ndarray) -> None:
    result = load(run.path).predict(images)
    count = len(images)
    assert len(result) == len(result.neighbours) == len(result.flags) == count
    assert result.depth.shape == result.sigma.shape == (count, 72, 48)
    assert result.depth.dtype == np.float32
    assert ((result.case_probability > 0) & (result.case_probability <= 1)).all()
    for case, neighbours in zip(result.case, result.neighbours, strict=True):
        chosen = json.loads((run.storage(int(case)) / "tuning.json").read_text())[0]
        assert len({n.pair for n in neighbours}) == len(neighbours) == chosen["neighbours"]
        assert sum(n.weight for n in neighbours) == pytest.approx(1, abs=1e-5)
    best = [max(n.similarity for n in neighbours) for neighbours in result.neighbours]
    assert (np.array(best) <= result.similarity + 1e-5).all()


def test_batches_do_not_matter(run: Run, images: np.ndarray) -> None:
    estimator = load(run.path, index="exact")
    whole, batches = estimator.predict(images), estimator.predict(images, batch=5)
    np.testing.assert_allclose(whole.depth, batches.depth, atol=1e-3)
    np.testing.assert_array_equal(whole.case, batches.case)


def test_aligning_by_the_centre_finds_stored_keys(run: Run) -> None:
    estimator = load(run.path, k=1, weights="nearest", index="exact", align="centre")
    keys = Storage.open(run.storage(2)).keys[:4]
    only = dataclasses.replace(estimator.models, retrievers={2: estimator.models.retrievers[2]})
    result = Estimator(only, only.blendings(1, "nearest")).predict(keys)
    np.testing.assert_array_equal(result.grey(), Storage.open(run.storage(2)).values[:4])
    assert estimator.models.retrievers[2].config.align == "centre"


def test_scann_and_exact_agree_on_few_pairs(run: Run, images: np.ndarray) -> None:
    exact, scann = (load(run.path, index=kind).predict(images) for kind in ("exact", "scann"))
    np.testing.assert_allclose(exact.depth, scann.depth, atol=1e-3)


@pytest.mark.parametrize("weights", ["softmax", "reconstruction"])
def test_plate_is_exact_where_the_classifier_is_sure(
    run: Run, images: np.ndarray, weights: Weights
) -> None:
    models = dataclasses.replace(load_models(run, "exact"), threshold=0.0)
    result = Estimator(models, models.blendings(8, weights)).predict(images)
    assert all("case_in_doubt" not in flags for flags in result.flags)
    for case, depth in zip(result.case, result.depth, strict=True):
        assert depth.max() == find_case(CHALLENGE, case).plate
        assert (depth[:4] == find_case(CHALLENGE, case).plate).all()
        assert (depth[:, :2] == find_case(CHALLENGE, case).plate).all()


def test_doubt_blends_the_two_likely_cases(run: Run, images: np.ndarray) -> None:
    models = load_models(run, "exact")
    doubtful = dataclasses.replace(models, threshold=2.0)
    blended = Estimator(doubtful, models.blendings(8, "softmax")).predict(images)
    assert all("case_in_doubt" in flags for flags in blended.flags)
    unblended = Estimator(
        dataclasses.replace(doubtful, blend=False), models.blendings(8, "softmax")
    ).predict(images)
    sure = Estimator(
        dataclasses.replace(models, threshold=0.0), models.blendings(8, "softmax")
    ).predict(images)
    assert all("case_in_doubt" in flags for flags in unblended.flags)
    np.testing.assert_array_equal(unblended.depth, sure.depth)
    assert not np.array_equal(blended.depth, sure.depth)
    logits = np.asarray(models.classifier(images[..., None].astype(np.float32) / 106 - 1))
    odds = np.exp(logits / models.temperature - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    alone = {
        case: Estimator(
            dataclasses.replace(models, retrievers={case: models.retrievers[case]}),
            {case: models.blendings(8, "softmax")[case]},
        )
        .predict(images)
        .depth
        for case in run.cases
    }
    for i, row in enumerate(odds):
        first, second = np.argsort(-row)[:2]
        share = row[first] / (row[first] + row[second])
        expected = share * alone[first + 1][i] + (1 - share) * alone[second + 1][i]
        np.testing.assert_allclose(blended.depth[i], expected, atol=0.02)
        assert blended.case[i] == first + 1


def test_untrained_case_is_flagged(run: Run, images: np.ndarray) -> None:
    models = load_models(run, "exact")
    everything = Estimator(models, models.blendings(8, "softmax")).predict(images)
    models = dataclasses.replace(models, retrievers={4: models.retrievers[4]})
    result = Estimator(models, models.blendings(8, "softmax")).predict(images)
    assert set(result.case) == {4}
    for case, flags in zip(everything.case, result.flags, strict=True):
        assert ("case_not_trained" in flags) == (case != 4)


def test_noise_is_flagged_as_unlike(run: Run) -> None:
    noise = np.random.default_rng(0).integers(0, 213, (3, 72, 48), dtype=np.uint8)
    for flags in load(run.path).predict(noise).flags:
        assert "unlike_storage" in flags


def test_no_images_are_no_error(run: Run) -> None:
    assert len(load(run.path).predict(np.zeros((0, 72, 48), np.uint8))) == 0


def test_refused_input(run: Run, tmp_path: Path) -> None:
    estimator = load(run.path)
    with pytest.raises(InputError, match=r"takes \[n, 72, 48\]"):
        estimator.predict(np.zeros((2, 48, 72), np.uint8))
    with pytest.raises(InputError, match="not finite"):
        estimator.predict(np.full((1, 72, 48), np.nan))
    with pytest.raises(InputError, match="--k 0"):
        load(run.path, k=0)
    with pytest.raises(InputError, match="no run there"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"similarity\.json"):
        read_limit(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"align": "center"}, "--align center: is none of shift, centre"),
        ({"index": "faiss"}, "--index faiss: is none of auto, scann, exact"),
        ({"recall": 1.5}, "--recall 1.5"),
        ({"recall": 0.9, "index": "exact"}, "exact index finds all"),
        ({"weights": "median"}, "--weights median"),
        ({"k": 2.5}, "--k 2.5"),
        ({"k": 10**20}, "no more than 1048576 neighbours"),
    ],
)
def test_options_are_refused_before_anything_is_read(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load("nowhere", **options)


def test_a_run_is_taken_for_its_folder(run: Run, fab: Path) -> None:
    estimator = load(run)
    assert repr(estimator) == "Estimator(cases 1, 2, 3, 4: 160 pairs, images 72 x 48)"
    found = estimator.predict(str(fab / "test/SEM"))
    assert found.names == sorted(path.name for path in (fab / "test/SEM").iterdir())
    images = open_images(fab / "test/SEM").images
    assert found.depth.tolist() == estimator.predict(images[..., None]).depth.tolist()
    retriever = estimator.models.retrievers[1]
    with pytest.raises(InputError, match=r"\[q, 72, 48\]"):
        retriever.search(images.transpose(0, 2, 1), 1)


def test_a_run_shows_itself(run: Run) -> None:
    assert len(repr(run)) < 250
    assert repr(run).endswith("preset quick, cases 1, 2, 3, 4, finished)")
    assert "<td>finished</td>" in run._repr_html_()
    assert {axis.get_title() for axis in run.plot().axes} >= {"critic", "cycle"}
