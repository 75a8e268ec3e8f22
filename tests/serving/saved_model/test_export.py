"""An export in fresh processes: both loaders, both indexes, the checks in the graph."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import adapter
from semtf.errors import InputError
from semtf.estimation.estimator import Estimator
from semtf.estimation.result import DepthResult, Neighbour
from semtf.retrieval.storage import Storage
from semtf.run import Run
from semtf.serving.saved_model.export import export
from semtf.serving.saved_model.verify import LOADERS, Answers, answers
from semtf.serving.saved_model.warmup import sample_inputs
from tests.serving.pngs import bad_files, png

CASES = (1, 2, 3, 4, 1, 2, 3, 4)


@pytest.fixture(scope="module", params=LOADERS)
def found(request: pytest.FixtureRequest, exact: Path, images: np.ndarray) -> Answers:
    """What every signature gives in a fresh process, from an export that was moved."""
    moved = exact.rename(exact.with_name("7"))
    try:
        return answers(moved, sample_inputs(images, CASES, CASES[:4]), request.param)
    finally:
        moved.rename(exact)


def test_every_signature_agrees_with_the_estimator(
    found: Answers, estimator: Estimator, expected: DepthResult, images: np.ndarray
) -> None:
    for name in ("serving_default", "predict_float", "estimate"):
        np.testing.assert_allclose(found[name]["depth"], expected.depth, atol=1e-3)
        np.testing.assert_allclose(found[name]["sigma"], expected.sigma, atol=1e-3)
        np.testing.assert_allclose(found[name]["similarity"], expected.similarity, atol=1e-5)
        np.testing.assert_array_equal(found[name]["case"], expected.case)
        words = [text.decode().split() for text in found[name]["flags"]]
        assert words == expected.flags
    for name in ("serving_default", "classify"):
        probability = estimator.classify(images)
        np.testing.assert_allclose(found[name]["case_probabilities"], probability, atol=1e-6)
    probability = found["estimate"]["case_probability"]
    np.testing.assert_allclose(probability, expected.case_probability, atol=1e-6)
    shares = np.eye(4, dtype=np.float32)[np.array(CASES) - 1]
    given = found["estimate_given_case"]
    np.testing.assert_array_equal(given["case"], CASES)
    np.testing.assert_allclose(given["depth"], estimator.predict(images, shares).depth, atol=1e-3)
    for i, depth in enumerate(expected.grey()):
        decoded = tf.io.decode_png(found["predict_png"]["depth_png_bytes"][i])[..., 0]
        np.testing.assert_array_equal(decoded, depth)


def test_neighbours(found: Answers, estimator: Estimator, expected: DepthResult) -> None:
    for name in ("neighbours", "estimate"):
        for i, row in enumerate(expected.neighbours):
            outputs = {key: value[i] for key, value in found[name].items()}
            # A case with fewer neighbours than another has empty columns behind its own.
            none = [Neighbour("", (0, 0), 0.0, 0.0)] * (len(outputs["pair"]) - len(row))
            row = [*row, *none]
            assert [text.decode() for text in outputs["name"]] == [n.pair for n in row]
            assert [tuple(shift) for shift in outputs["shifts"]] == [n.shift for n in row]
            np.testing.assert_allclose(outputs["weights"], [n.weight for n in row], atol=1e-5)
            names = [*estimator.parts.retrievers[int(expected.case[i])].storage.names, ""]
            assert [names[pair] for pair in outputs["pair"]] == [n.pair for n in row]
            similarity = [n.similarity for n in row]
            np.testing.assert_allclose(outputs["similarities"], similarity, atol=1e-5)


def test_adapt(found: Answers, run: Run, images: np.ndarray) -> None:
    for i, case in enumerate(CASES):
        config = run.config
        translate = adapter.load(run.adaptation(case), config.image, config.adaptation)
        expected = translate(tf.constant(images[i : i + 1], tf.float32))[0]
        for name in ("adapt", "adapt_float"):
            np.testing.assert_allclose(found[name]["adapted"][i], expected, atol=1e-2)
            pixels = tf.io.decode_png(found[name]["adapted_png_bytes"][i])[..., 0]
            rounded = np.clip(np.rint(found[name]["adapted"][i]), 0, 255)
            np.testing.assert_array_equal(pixels, rounded)


def test_stored_pairs_are_moved_as_asked(signatures: dict[str, Callable], run: Run) -> None:
    asked = {"case": [3, 1, 3], "pair": [7, 0, 2], "shift": [[1, -2], [0, 0], [-2, 1]]}
    given = {name: tf.constant(value, tf.int32) for name, value in asked.items()}
    found = signatures["stored"](**given)
    for i, (rows, columns) in enumerate(asked["shift"]):
        storage = Storage.open(run.storage(asked["case"][i]))
        for name, images in (("sem", storage.keys), ("depth", storage.values)):
            pixels = tf.io.decode_png(found[f"{name}_png_bytes"][i]).numpy()[..., 0]
            image = images[asked["pair"][i]]
            # What is moved in from outside is the retrieval's business; here the part that stays.
            np.testing.assert_array_equal(
                pixels[max(rows, 0) : 72 + min(rows, 0), max(columns, 0) : 48 + min(columns, 0)],
                image[max(-rows, 0) : 72 - max(rows, 0), max(-columns, 0) : 48 - max(columns, 0)],
            )


@pytest.mark.parametrize(
    ("case", "pair", "shift", "message"),
    [
        ([1, 9], [0, 0], [[0, 0]] * 2, r"one of 1, 2, 3, 4; got \[1 9\]"),
        ([1, 2], [0, 40], [[0, 0]] * 2, r"has \[40 40\] pairs; got \[0 40\]"),
        ([1], [-1], [[0, 0]], "pair: the storage has"),
        ([1], [0], [[0, 3]], "at most 2 pixels"),
        ([1], [0, 1], [[0, 0]], "one case, pair and shift"),
        ([], [], np.zeros((0, 2)), "1 to 256 images; got 0"),
    ],
)
def test_pairs_that_are_not_stored_are_refused(
    case: list[int], pair: list[int], shift: list, message: str, signatures: dict[str, Callable]
) -> None:
    asked = {"case": case, "pair": pair, "shift": shift}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["stored"](**{name: tf.constant(v, tf.int32) for name, v in asked.items()})


def test_scann_export_is_verified(run: Run, tmp_path: Path) -> None:
    found = export(run.path, tmp_path / "1", index="scann")
    assert found is not None
    assert set(found.difference) == set(LOADERS)
    assert max(found.difference.values()) < 1e-3
    # So few rows are searched one by one.
    assert found.recall == 1.0
    assert found.rmse is not None
    assert found.rmse < 1e-3
    assert json.loads((tmp_path / "1" / "semtf.json").read_text())["needs_scann_operations"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "serving"]


def test_exact_export_has_stock_operations_only(exact: Path) -> None:
    note = json.loads((exact / "semtf.json").read_text())
    assert not note["needs_scann_operations"]
    assert note["index"] == "exact"
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
    found = signatures["adapt"](image_bytes=tf.constant(rgb), case=tf.constant(CASES))
    np.testing.assert_array_equal(found["adapted"], expected["adapted"])


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
        (np.zeros((2, 72, 48)), [1, 5], r"one of 1, 2, 3, 4; got \[1 5\]"),
        (np.zeros((2, 72, 48)), [1], "one for each image"),
    ],
)
def test_wrong_arrays_are_refused_in_the_graph(
    images: np.ndarray, cases: list[int], message: str, signatures: dict[str, Callable]
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["adapt_float"](
            images=tf.constant(images, tf.float32), case=tf.constant(cases, tf.int32)
        )


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
