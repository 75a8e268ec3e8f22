"""The run folder: stages appear whole or not at all, and the manifest tells every byte."""

import hashlib
import json
from pathlib import Path

import pytest

from semtf.errors import InputError
from semtf.presets import preset
from semtf.run import Run


def test_create_open_round_trip(tmp_path: Path) -> None:
    config = preset("quick").with_settings({"seed": "7"})
    Run.create(tmp_path / "run", config)
    assert Run.open(tmp_path / "run").config == config
    with pytest.raises(InputError, match="exists"):
        Run.create(tmp_path / "run", config)
    with pytest.raises(InputError, match="no run there"):
        Run.open(tmp_path / "nothing")


def test_a_stage_appears_whole(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", preset("quick"))

    def interrupted() -> None:
        with run.stage(run.storage(2)) as folder:
            (folder / "half").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert run.cases == ()
    with run.stage(run.storage(2)) as folder:
        assert (folder / "half").read_text() == "1"
        (folder / "whole").write_text("2")
    assert run.cases == (2,)
    assert sorted(p.name for p in run.storage(2).iterdir()) == ["half", "whole"]
    with run.stage(run.storage(2)) as folder:
        (folder / "new").write_text("3")
    assert [p.name for p in run.storage(2).iterdir()] == ["new"]
    assert [p.name for p in run.storage(2).parent.iterdir()] == ["case_2"]


def test_manifest(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", preset("quick"))
    assert not run.finished
    (run.path / "a.bin").write_bytes(b"semtf")
    run.finish()
    assert run.finished
    entries = json.loads((run.path / "manifest.json").read_text())
    assert set(entries) == {"a.bin", "config.json"}
    assert entries["a.bin"] == {"bytes": 5, "sha256": hashlib.sha256(b"semtf").hexdigest()}
    run.begin()
    assert not run.finished
