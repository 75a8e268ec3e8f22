"""`semtf doctor`: right installations pass, wrong ones are named with the way out."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from semtf import diagnosis
from semtf.backend.installed import is_classic
from semtf.backend.sets import CLASSIC, CURRENT, VersionSet, installed_set
from semtf.cli import main
from semtf.diagnosis import imported, version, version_set, versions


def doctor(*options: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run(["doctor", *options])
    return int(stop.value.code or 0)


def test_versions_are_compared_with_the_requirements() -> None:
    assert not version(Requirement("numpy>=1"), "semtf").problem
    old = version(Requirement("numpy>=999"), "semtf")
    assert old.problem == "semtf requires >=999"
    assert old.remedy == 'pip install "numpy>=999"'
    missing = version(Requirement("no-such-package>=2"), "semtf")
    assert (missing.found, missing.remedy) == ("not installed", 'pip install "no-such-package>=2"')
    assert [f.subject for f in versions("tensorflow", ("protobuf",))] == ["protobuf"]
    assert next(iter(versions("no-such-package"))).problem


def test_every_requirement_of_the_package_is_looked_at() -> None:
    found = {finding.subject: finding for finding in versions("semtf")}
    assert {"tensorflow", "keras", "keras-cv", "scann", "numpy", "pandas", "click"} <= found.keys()
    assert "pytest" not in found
    assert not [finding for finding in found.values() if finding.problem]


@pytest.mark.parametrize(
    ("module", "statement", "said"),
    [
        ("keras_cv", "import no_such_module", "No module named 'no_such_module'"),
        ("scann", "raise ImportError('a.so: undefined symbol: b')", "another minor version"),
        ("tensorflow", "import os; os.kill(os.getpid(), 4)", "the process ended with -4"),
    ],
)
def test_imports_that_fail_are_explained(module: str, statement: str, said: str) -> None:
    finding = imported(module, statement)
    assert said in finding.problem
    assert finding.remedy.startswith('pip install "tensorflow')
    assert module.replace("_", "-") in finding.remedy
    assert ("exact index" in finding.remedy) == (module == "scann")


def test_the_command_says_what_is_wrong_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(diagnosis, "IMPORTS", {"json": "import json"})
    monkeypatch.setattr(diagnosis, "LEAST_MEMORY", 0.0)
    monkeypatch.setattr(diagnosis, "LEAST_DISK", 0.0)
    assert doctor("--json") == 0
    found = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "CPU" in found["devices"]["found"]
    assert found["import json"]["found"] == "works"
    monkeypatch.setattr(diagnosis, "IMPORTS", {"keras": "import no_such_module"})
    monkeypatch.setattr(diagnosis, "DEVICES", "print('[]')")
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEMTF_CACHE", str(tmp_path / "file" / "cache"))
    assert doctor() == 1
    lines = capsys.readouterr().out.splitlines()
    wrong = [line.split()[1].rstrip(":") for line in lines if line.startswith("wrong")]
    assert wrong == ["import", "cache"]
    assert "       nothing can be written there; set SEMTF_CACHE to a folder with room" in lines


def test_everything_is_told_once_and_a_broken_set_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "IMPORTS", {"keras": "import no_such_module"})
    monkeypatch.setattr(diagnosis, "is_classic", lambda: False)
    whole = list(diagnosis.diagnose())
    subjects = [finding.subject for finding in whole]
    assert len(set(subjects)) == len(subjects)
    alone = next(finding for finding in whole if finding.subject == "import keras")
    assert alone.remedy.startswith('pip install "tensorflow')
    other = CURRENT if is_classic() else CLASSIC
    monkeypatch.setattr(diagnosis, "installed_set", lambda: other)
    broken = {finding.subject: finding for finding in diagnosis.diagnose()}
    command = broken["set"].remedy
    assert command
    assert broken["import keras"].remedy == f"mend the set first: {command}"
    assert "scann" not in broken
    assert imported("tensorflow", "import no_such").remedy.count("tensorflow") == 1


def test_the_installed_set_is_whole() -> None:
    finding = version_set(installed_set())
    assert (finding.problem, finding.remedy) == ("", "")
    assert finding.found.startswith("classic" if is_classic() else "current")
    assert f"tensorflow {metadata.version('tensorflow')}" in finding.found


def test_what_belongs_to_the_other_set_is_named_with_one_command() -> None:
    finding = version_set(CURRENT if is_classic() else CLASSIC)
    for name in ("tensorflow", "keras", "scann", "protobuf", "numpy"):
        assert f" {name}<" in finding.problem or f" {name}>" in finding.problem
        assert f'"{name}<' in finding.remedy or f'"{name}>' in finding.remedy
    assert finding.remedy.startswith('pip install "tensorflow<2.')


@pytest.mark.parametrize(
    ("expected", "moved", "remedy"),
    [
        (CURRENT, {"tensorflow": "2.21.0"}, ["tensorflow<2.21,>=2.20"]),
        (CURRENT, {"scann": "1.3.5", "numpy": "1.26.4"}, ["scann<1.5,>=1.4.2", "numpy<3,>=2"]),
        (CLASSIC, {"protobuf": "5.29.1"}, ["protobuf<5,>=3.20.3"]),
        (CLASSIC, {"tensorflow-addons": None}, ["tensorflow-addons<0.24,>=0.23"]),
    ],
)
def test_strangers_of_a_set(
    expected: VersionSet, moved: dict[str, str | None], remedy: list[str]
) -> None:
    whole = {
        CURRENT: "tensorflow 2.20.0 keras 3.13.2 scann 1.4.2 protobuf 6.33.0 numpy 2.2.0",
        CLASSIC: "tensorflow 2.15.1 keras 2.15.0 scann 1.3.0 protobuf 4.25.9 numpy 1.26.4 "
        "tensorflow-addons 0.23.0",
    }[expected].split()
    versions = dict(zip(whole[::2], whole[1::2], strict=True))
    assert expected.strangers(versions.get) == []
    strangers = expected.strangers({**versions, **moved}.get)
    assert [f"{r.name}{r.specifier}" for r in strangers] == remedy
