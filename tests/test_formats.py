"""Format numbers: a run of the oldest format, stamps, migration, and what cannot be read."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import semtf
from semtf import formats
from semtf.cases import CHALLENGE
from semtf.errors import InputError
from semtf.formats import STEPS, migrated, stamped
from semtf.presets import preset
from semtf.run import Run

FIXTURE = Path(__file__).parent / "fixtures/run_of_format_0"
STAMPED = {
    "run": "config.json",
    "storage": "storage/case_1/names.json",
    "index": "storage/case_1/retrieval.json",
}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    with zipfile.ZipFile(FIXTURE / "run.zip") as archive:
        archive.extractall(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_of_the_oldest_format_predicts_as_it_did(old_run: Path) -> None:
    before = {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()}
    with np.load(FIXTURE / "expected.npz") as expected:
        result = semtf.load(old_run, index="exact").predict(expected["images"])
        np.testing.assert_allclose(result.depth, expected["depth"], atol=1e-3)
        # The variance of an image in doubt holds the difference of its cases since version 0.2.
        doubtful = np.array(["case_in_doubt" in flags for flags in result.flags])
        np.testing.assert_allclose(result.sigma[~doubtful], expected["sigma"][~doubtful], atol=1e-3)
        assert (result.sigma[doubtful] >= expected["sigma"][doubtful] - 1e-3).all()
        np.testing.assert_allclose(result.similarity, expected["similarity"], atol=1e-5)
        np.testing.assert_array_equal(result.case, expected["case"])
    assert before == {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()}


def test_a_run_of_the_oldest_format_is_exported(old_run: Path, tmp_path: Path) -> None:
    """Its adapters and its classifier are read, too, and go through the export's graph."""
    semtf.export(old_run, tmp_path / "semtf/1", index="exact", check=False)
    with np.load(FIXTURE / "expected.npz") as expected:
        images = tf.constant(expected["images"], tf.float32)
        served = tf.saved_model.load(str(tmp_path / "semtf/1")).signatures["predict_float"]
        np.testing.assert_allclose(served(images=images)["depth"], expected["depth"], atol=1e-3)
    assert json.loads((tmp_path / "semtf/1/semtf.json").read_text())["format"]["kind"] == "export"


def test_the_oldest_run_has_the_challenges_cases(old_run: Path) -> None:
    opened = Run.open(old_run)
    assert opened.config.cases == CHALLENGE
    assert opened.cases == (1, 2)


@pytest.mark.parametrize("kind", STAMPED)
def test_every_artefact_says_which_version_wrote_it(run: Run, kind: formats.Kind) -> None:
    document = json.loads((run.path / STAMPED[kind]).read_text())
    number = len(STEPS[kind])
    assert document["format"] == {"kind": kind, "number": number, "semtf": semtf.__version__}


def change_stamp(change: Callable[[dict[str, Any]], None], path: Path) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("kind", STAMPED)
def test_what_a_newer_version_wrote_is_refused(
    run: Run, kind: formats.Kind, tmp_path: Path
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    path = tmp_path / "run" / STAMPED[kind]
    stamp = {"kind": kind, "number": 99, "semtf": "9.1.2"}
    change_stamp(lambda document: document.update(format=stamp), path)
    with pytest.raises(InputError, match=r"semtf 9\.1\.2 wrote it in format 99") as error:
        semtf.load(tmp_path / "run")
    assert str(path) in str(error.value)


def test_steps_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe of a format that changes: raise the number, add a step."""

    def renamed(document: formats.Document) -> formats.Document:
        document["width"] = document.pop("breadth")
        return document

    def doubled(document: formats.Document) -> formats.Document:
        return {**document, "width": 2 * document["width"]}

    monkeypatch.setattr(formats, "STEPS", {**STEPS, "index": (renamed, doubled)})
    assert migrated("index", {"breadth": 3}, "x") == {"width": 6}
    one = {"format": {"kind": "index", "number": 1, "semtf": "0.3"}, "width": 3}
    assert migrated("index", one, "x") == {"width": 6}
    assert migrated("index", stamped("index", {"width": 3}), "x") == {"width": 3}


@pytest.mark.parametrize("stamp", [None, 3, {}, {"kind": "run", "number": "a", "semtf": "1"}])
def test_a_stamp_that_is_none(stamp: object) -> None:
    with pytest.raises(InputError, match=r"config\.json: .*train it again"):
        migrated("run", {"format": stamp}, "config.json")


def test_another_artefact_in_its_place() -> None:
    with pytest.raises(InputError, match="x: is a storage, where a run is expected"):
        migrated("run", stamped("storage", {}), "x")
    with pytest.raises(InputError, match="expected a JSON object"):
        migrated("run", [], "x")  # type: ignore[arg-type]


def test_the_stamp_is_no_field_of_a_config(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "run", preset("best"))
    assert Run.open(made.path).config == preset("best")
    assert "format" not in json.loads(preset("best").to_json())
