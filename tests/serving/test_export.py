"""An export in fresh processes: both loaders, both indexes, the checks in the graph."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.data.dataset import open_dataset
from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.run import Run
from semtf.serving.export import export
from semtf.serving.verify import LOADERS, predict


@pytest.fixture(scope="module")
def exact(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("semtf") / "1"
    export(run.path, out, index="exact", check=False)
    return out


@pytest.mark.parametrize("loader", LOADERS)
def test_fresh_process_gives_the_estimators_depth(
    loader: str, exact: Path, run: Run, fab: Path
) -> None:
    images = np.asarray(open_dataset(fab).test().images[:8], np.float32)
    expected = load(run.path, index="exact").predict(images).depth
    moved = exact.rename(exact.with_name(f"moved-{loader}"))
    try:
        found = predict(moved, images, loader)
    finally:
        moved.rename(exact)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_scann_export_is_verified(run: Run, tmp_path: Path) -> None:
    found = export(run.path, tmp_path / "1", index="scann")
    assert found is not None
    assert set(found.difference) == set(LOADERS)
    assert max(found.difference.values()) < 1e-3
    assert json.loads((tmp_path / "1" / "semtf.json").read_text())["needs_scann_operations"]
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_exact_export_has_stock_operations_only(exact: Path) -> None:
    assert not json.loads((exact / "semtf.json").read_text())["needs_scann_operations"]
    assert b"Scann" not in (exact / "saved_model.pb").read_bytes()


def test_signature(exact: Path, run: Run) -> None:
    signature = tf.saved_model.load(str(exact)).signatures["serving_default"]
    images = np.random.default_rng(0).uniform(0, 212, (3, 72, 48)).astype(np.float32)
    flat, channel = signature(tf.constant(images)), signature(tf.constant(images[..., None]))
    assert set(flat) == {"depth", "case", "similarity"}
    assert flat["depth"].shape == (3, 72, 48)
    assert flat["case"].shape == flat["similarity"].shape == (3,)
    np.testing.assert_array_equal(flat["depth"], channel["depth"])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 48, 72)), "rows, columns"),
        (np.zeros((72, 48)), "rows, columns"),
        (np.zeros((1, 72, 48, 3)), "rows, columns"),
        (np.full((1, 72, 48), np.nan), "finite"),
    ],
)
def test_wrong_images_are_refused_in_the_graph(
    images: np.ndarray, message: str, exact: Path
) -> None:
    signature = tf.saved_model.load(str(exact)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signature(tf.constant(images, tf.float32))


def test_refused_exports(run: Run, exact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        export(run.path, exact)
    with pytest.raises(InputError, match="no run there"):
        export(tmp_path / "none", tmp_path / "1")
    assert not (tmp_path / "1").exists()
