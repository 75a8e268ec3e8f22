"""Files of an export, its ScaNN variant, and the checks in the graph."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.errors import InputError
from semtf.run import Run
from semtf.serving.saved_model.export import export
from semtf.serving.saved_model.fresh_process import LOADERS
from tests.serving.pngs import bad_files, png
from tests.wrong_scales import GREY, wrong_scales

CASES = (1, 2, 3, 4, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("case", "pair", "shift", "message"),
    [
        ([1, 9], [0, 0], [[0, 0]] * 2, r"one of 1, 2, 3, 4; got \[1 9\]"),
        ([1, 2], [0, 40], [[0, 0]] * 2, r"has \[40 40\] pairs; got \[0 40\]"),
        ([1], [-1], [[0, 0]], "pair: the storage has"),
        ([1], [0], [[0, 3]], "at most 2 pixels"),
        ([1], [0], [[-(2**31), 0]], "at most 2 pixels"),
        ([1], [0, 1], [[0, 0]], "one case, pair and shift"),
        ([], [], np.zeros((0, 2)), "1 to 256 images; got 0"),
    ],
)
def test_pairs_that_are_not_stored_are_refused(
    case: list[int], pair: list[int], shift: list, message: str, signatures: dict[str, Callable]
) -> None:
    inputs = {"case": case, "pair": pair, "shift": shift}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["stored"](**{name: tf.constant(v, tf.int32) for name, v in inputs.items()})


def test_scann_export_is_verified(run: Run, tmp_path: Path) -> None:
    verification = export(run.path, tmp_path / "1", index="scann")
    assert verification is not None
    assert set(verification.difference) == set(LOADERS)
    assert max(verification.difference.values()) < 1e-3
    # ScaNN compares so few embeddings one by one.
    assert verification.recall == 1.0
    assert verification.rmse is not None
    assert verification.rmse < 1e-3
    assert json.loads((tmp_path / "1" / "semtf.json").read_text())["needs_scann_operations"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "serving"]


def test_exact_export_has_stock_operations_only(exact: Path) -> None:
    metadata = json.loads((exact / "semtf.json").read_text())
    assert not metadata["needs_scann_operations"]
    assert metadata["index"] == "exact"
    assert b"Scann" not in (exact / "saved_model.pb").read_bytes()


@pytest.fixture(scope="module")
def signatures(exact: Path) -> dict[str, Callable]:
    model = tf.saved_model.load(str(exact))
    return dict(model.signatures)


@pytest.mark.parametrize("name", bad_files())
def test_bad_files_are_refused_in_the_graph(name: str, signatures: dict[str, Callable]) -> None:
    data, message = bad_files()[name]
    good = png(np.zeros((72, 48), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["classify"](image_bytes=tf.constant([good, data]))


def test_grey_png_as_rgb_or_interlaced_is_read(
    signatures: dict[str, Callable], images: np.ndarray
) -> None:
    rgb = [png(np.stack([image] * 3, axis=-1)) for image in images]
    grey = [png(image) for image in images]
    expected = signatures["adapt"](image_bytes=tf.constant(grey), case=tf.constant(CASES))
    outputs = signatures["adapt"](image_bytes=tf.constant(rgb), case=tf.constant(CASES))
    np.testing.assert_array_equal(outputs["adapted"], expected["adapted"])


@pytest.mark.parametrize(
    ("images", "cases", "message"),
    [
        (np.zeros((2, 48, 72)), [1, 1], r"\(rows, columns\); got shape \[2 48 72\]"),
        (np.zeros((72, 48)), [1], "rows, columns"),
        (np.zeros(5), [1], "rows, columns"),
        (np.zeros(()), [1], "rows, columns"),
        (np.zeros((1, 72, 48, 3)), [1], "rows, columns"),
        (np.zeros((0, 72, 48)), [], "1 to 256 images; got 0"),
        (np.zeros((257, 72, 48)), [1] * 257, "1 to 256 images; got 257"),
        (np.full((1, 72, 48), np.nan), [1], "finite"),
        (np.full((1, 72, 48), np.inf), [1], "finite"),
        (np.stack([GREY] * 2), [1, 5], r"one of 1, 2, 3, 4; got \[1 5\]"),
        (np.stack([GREY] * 2), [1], "one for each image"),
        *(
            (np.stack([GREY, wrong, wrong]), [1] * 3, f"image 1 has {message}")
            for wrong, message in wrong_scales().values()
        ),
        (np.stack([GREY / 255] * 2)[..., None], [1, 1], "image 0 has floats of at most"),
    ],
)
def test_wrong_arrays_are_refused_in_the_graph(
    images: np.ndarray, cases: list[int], message: str, signatures: dict[str, Callable]
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["adapt_float"](
            images=tf.constant(images, tf.float32), case=tf.constant(cases, tf.int32)
        )


def test_the_graph_loader_refuses_images_in_0_to_1(exact: Path, images: np.ndarray) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        model = tf.compat.v1.saved_model.load(session, ["serve"], str(exact))
        signature = model.signature_def["predict_float"]
        given = {signature.inputs["images"].name: np.float32(images / 255)}
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"image 0 .*multiply by 255"):
            session.run(signature.outputs["depth"].name, given)


def test_dark_files_are_flagged_and_not_refused(signatures: dict[str, Callable]) -> None:
    files = [png(np.full((72, 48), level, np.uint8)) for level in (0, 1)]
    flags = signatures["serving_default"](image_bytes=tf.constant(files))["flags"].numpy()
    assert all(b"unusual_scale" in words.split() for words in flags)


def test_one_channel_may_be_an_axis(signatures: dict[str, Callable], images: np.ndarray) -> None:
    case = tf.constant(CASES)
    flat = signatures["adapt_float"](images=tf.constant(images, tf.float32), case=case)
    wide = signatures["adapt_float"](images=tf.constant(images[..., None], tf.float32), case=case)
    np.testing.assert_array_equal(flat["adapted"], wide["adapted"])


def test_refused_and_interrupted_exports(
    run: Run, exact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="exists"):
        export(run.path, exact)
    with pytest.raises(InputError, match="no run there"):
        export(tmp_path / "none", tmp_path / "1")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[export.__module__], "write_warmup", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(run.path, tmp_path / "1", index="exact", check=False)
    assert list(tmp_path.iterdir()) == []


def test_an_export_needs_no_package_of_the_server() -> None:
    names = ("httpx", "orjson", "prometheus_client", "starlette", "uvicorn", "tensorflow_serving")
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({names}))\n"
    code = blocked + "import semtf.serving.saved_model.export"
    subprocess.run([sys.executable, "-c", code], check=True)
