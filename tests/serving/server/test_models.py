"""Several models: TensorFlow Serving's text proto, and what happens when it changes."""

import logging
from pathlib import Path

import pytest

from semtf.errors import InputError
from semtf.serving.server.json_tensor import RequestError
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.model_config import ConfigFile, ModelConfig, read_model_config
from semtf.serving.server.models import Models
from semtf.serving.server.version import AVAILABLE, END, Options
from semtf.serving.server.versions import Versions
from tests.serving.server.test_versions import Starter, add, states
from tests.serving.server.virtual_time import run, settle

TWO = """
model_config_list {
  config { name: "a" base_path: "models/a" model_platform: "tensorflow"
           model_version_policy { specific { versions: 1 versions: 3 } }
           version_labels { key: "stable" value: 1 } version_labels { key: "new" value: 3 } }
  config { name: "b" base_path: "/models/b" model_version_policy { all {} } }
  config { name: "c" base_path: "c" model_version_policy { latest { num_versions: 2 } } }
  config { name: "d" base_path: "d" }
}
"""


def test_a_file_of_models(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(TWO)
    models = read_model_config(file, Options(batch=7))
    assert {name: model.folder for name, model in models.items()} == {
        "a": tmp_path / "models/a", "b": Path("/models/b"), "c": tmp_path / "c", "d": tmp_path / "d"
    }  # fmt: skip
    policies = {name: (m.options.latest, m.options.specific) for name, m in models.items()}
    assert policies == {"a": (None, (1, 3)), "b": (None, None), "c": (2, None), "d": (1, None)}
    assert models["a"].options.labels == {"stable": 1, "new": 3}
    assert {model.options.batch for model in models.values()} == {7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list { config { nme: 1 } }", "cannot be read"),
        ("", "has no model_config_list with a model"),
        ('model_config_list { config { name: "a" } }', "no name or no base_path"),
        (
            'model_config_list { config { name: "a" base_path: "a" model_platform: "other" } }',
            'must be "tensorflow"',
        ),
        (
            'model_config_list { config { name: "a" base_path: "a" } '
            'config { name: "a" base_path: "b" } }',
            "a is there twice",
        ),
    ],
)
def test_wrong_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text(text)
    with pytest.raises(InputError, match=message):
        read_model_config(tmp_path / "models.config", Options())
    with pytest.raises(InputError, match="cannot be read"):
        read_model_config(tmp_path / "none", Options())


def test_a_file_that_changes(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "models.config", Options())
    (tmp_path / "models.config").write_text(TWO)
    assert set(file.read()) == set("abcd")
    assert file.changed() is None
    (tmp_path / "models.config").write_text(TWO.replace('name: "b"', 'name: "second"'))
    assert set(file.changed() or {}) == {"a", "second", "c", "d"}
    assert file.changed() is None
    (tmp_path / "models.config").write_text("rubbish")
    with pytest.raises(InputError):
        file.changed()
    assert file.changed() is None


def versions_of(folder: Path, *numbers: int) -> Path:
    folder.mkdir()
    for number in numbers:
        add(folder, number)
    return folder


@pytest.mark.parametrize(
    ("options", "served"),
    [
        ({}, {4}),
        ({"latest": 2}, {4, 3}),
        ({"latest": 9}, {1, 2, 3, 4}),
        ({"latest": None}, {1, 2, 3, 4}),
        ({"latest": None, "specific": (2, 3, 9)}, {2, 3}),
        ({"latest": None, "specific": (2,), "labels": {"old": 1}}, {1, 2}),
        ({"labels": {"old": 1}}, {1, 4}),
    ],
)
def test_policies(options: dict, served: set[int], tmp_path: Path) -> None:
    async def scenario() -> None:
        folder = versions_of(tmp_path / "m", 1, 2, 3, 4)
        versions = Versions(folder, "m", Options(window=0.0, **options), Metrics(), Starter())
        await versions.update()
        assert set(versions.available()) == served
        await versions.close()

    run(scenario())


def test_labels_move_and_tell_what_they_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        folder = versions_of(tmp_path / "m", 1, 2, 3)
        metrics, labelled = Metrics(), Options(window=0.0, labels={"stable": 1, "gone": 9})
        config = ModelConfig("m", folder, labelled)
        models = Models({"m": config}, metrics, start_worker=Starter())
        versions = models.served("m", None)
        for _ in range(3):
            await versions.update()
        assert versions.find(None, "stable").number == 1
        moved = Options(window=0.0, labels={"stable": 2})
        await models.apply({"m": ModelConfig("m", folder, moved)})
        await versions.update()
        await settle()
        assert versions.find(None, "stable").number == 2
        with pytest.raises(RequestError, match="Unrecognized servable version label: gone"):
            versions.find(None, "gone")
        assert states(versions) == {1: END, 2: AVAILABLE, 3: AVAILABLE}
        await models.close()

    with caplog.at_level(logging.WARNING, "semtf.serving"):
        run(scenario())
    warned = [record.message for record in caplog.records if "label" in record.message]
    assert warned == ["m: label gone means version 9, which is not there"]


def test_models_come_and_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        configs = {
            name: ModelConfig(name, versions_of(tmp_path / name, 1), Options(window=0.0))
            for name in "ab"
        }
        starter = Starter()
        pending = [{"a": configs["a"]}]
        models = Models(
            {"b": configs["b"]},
            Metrics(),
            changed=lambda: pending.pop() if pending else None,
            start_worker=starter,
        )
        first = models.served("b", None)
        await first.update()
        await models.apply({"a": configs["a"], "b": configs["b"]})
        await settle()
        assert models.served("b", None) is first
        await models.served("a", None).update()
        assert models.served("a", None).available() == [1]
        await models.apply({"a": configs["a"]})
        with pytest.raises(RequestError, match=r"Servable not found for request: Latest\(b\)"):
            models.served("b", None)
        with pytest.raises(RequestError, match="Could not find version 2 of model b"):
            models.described("b", 2)
        assert [worker.closed for worker in starter.workers[1]] == [True, False]
        await models.close()

    run(scenario())


def test_only_the_first_version_is_loaded_in_a_hurry(tmp_path: Path) -> None:
    async def scenario() -> None:
        starter = Starter()
        folder = versions_of(tmp_path / "m", 1)
        versions = Versions(folder, "m", Options(window=0.0), Metrics(), starter)
        await versions.update()
        add(folder, 2)
        await versions.update()
        assert starter.hurried == [True, False]
        await versions.close()

    run(scenario())
