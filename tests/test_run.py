"""The run folder: stages appear whole or not at all, and the manifest tells every byte."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from semtf import run as run_folder
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


def test_the_seconds_of_a_stage_add_up_until_it_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", preset("quick"))
    clock = iter([0.0, 2.0, 10.0, 13.0, 20.0, 27.0, 30.0, 31.0])
    # The clock of this module alone: locks have a clock, too.
    made = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr(run_folder, "time", made)

    def interrupted() -> None:
        with run.stage(run.adaptation(1)):
            raise KeyboardInterrupt

    assert run.timings == {}
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with run.stage(run.adaptation(1)):
        pass
    assert run.timings == {"cases/case_1": 5.0}
    with run.stage(run.storage(1), empty=True):
        pass
    with run.stage(run.storage(1), empty=True):
        pass
    assert run.timings == {"cases/case_1": 5.0, "storage/case_1": 1.0}
    assert Run.open(run.path).timings == run.timings


def test_the_losses_are_those_of_the_chosen_adapter(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", preset("quick"))
    for case, chosen in ((1, "cyclegan"), (2, "moment")):
        run.storage(case).mkdir(parents=True)
        folder = run.adaptation(case)
        for name in ("cut", "cyclegan", "moment"):
            (folder / name).mkdir(parents=True)
        (folder / "selection.json").write_text(json.dumps({"adapter": chosen}))
        for name, loss in (("cut", 5), ("cyclegan", 1)):
            (folder / name / "history.csv").write_text(f"epoch,critic\n0,{loss}\n")
    assert run.histories == {"case 1": run.adaptation(1) / "cyclegan/history.csv"}
    (axes,) = run.plot().axes
    (line,) = axes.get_lines()
    assert line.get_ydata().tolist() == [1]
    (run.adaptation(1) / "cyclegan/history.csv").unlink()
    with pytest.raises(InputError, match="not trained epoch by epoch"):
        run.plot()


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
