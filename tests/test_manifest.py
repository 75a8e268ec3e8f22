"""Manifests: what is changed, cut, missing or elsewhere is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from semtf.errors import InputError
from semtf.estimation.estimator import load
from semtf.manifest import MANIFEST, check_manifest, write_manifest
from semtf.report.page import write_report
from semtf.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage/keys.npy").write_bytes(bytes(range(100)))
    (tmp_path / "config.json").write_text("{}\n")
    write_manifest(tmp_path, [tmp_path / "storage/keys.npy", tmp_path / "config.json"])
    return tmp_path


def test_a_folder_as_it_was_written(folder: Path) -> None:
    assert check_manifest(folder, "copy it anew") == 1
    assert check_manifest(folder, "copy it anew", full=True) == 2
    entries = json.loads((folder / MANIFEST).read_text())
    assert list(entries) == ["config.json", "storage/keys.npy"]
    assert entries["storage/keys.npy"]["bytes"] == 100


def cut(folder: Path) -> None:
    (folder / "storage/keys.npy").write_bytes(b"short")


def flip(folder: Path) -> None:
    (folder / "storage/keys.npy").write_bytes(bytes(reversed(range(100))))


def edit(folder: Path) -> None:
    (folder / "config.json").write_text("[]\n")


def remove(folder: Path) -> None:
    (folder / "storage/keys.npy").unlink()


def lead_away(folder: Path) -> None:
    entries = {"../x.npy": {"bytes": 1, "sha256": ""}}
    (folder / MANIFEST).write_text(json.dumps(entries))


def spoil(folder: Path) -> None:
    (folder / MANIFEST).write_text("[1]")


def test_a_table_may_lack_unless_all_must_be_there(folder: Path) -> None:
    """A run of an older version has fewer tables; an export is made at once."""
    (folder / "config.json").unlink()
    check_manifest(folder, "copy it anew")
    with pytest.raises(InputError, match=r"config\.json: is missing"):
        check_manifest(folder, "copy it anew", complete=True)


@pytest.mark.parametrize(
    ("harm", "cheap", "said"),
    [
        (cut, True, r"keys\.npy: has 5 bytes and not 100"),
        (flip, False, r"keys\.npy: is not as it was written"),
        (edit, False, r"config\.json: is not as it was written"),
        (remove, True, r"keys\.npy: is missing"),
        (lead_away, True, r"names \.\./x\.npy, which lies elsewhere"),
        (spoil, True, r"manifest\.json: cannot be read"),
    ],
)
def test_a_changed_folder(
    folder: Path, harm: Callable[[Path], None], cheap: bool, said: str
) -> None:
    harm(folder)
    with pytest.raises(InputError, match=f"{said}.*copy it anew"):
        check_manifest(folder, "copy it anew", full=True)
    if cheap:
        with pytest.raises(InputError, match=said):
            check_manifest(folder, "copy it anew")
    else:
        check_manifest(folder, "copy it anew")


def test_a_run_with_another_array_is_not_loaded(run: Run, tmp_path: Path) -> None:
    copy = Run.open(shutil.copytree(run.path, tmp_path / "run"))
    copy.check(full=True)
    values = copy.storage(1) / "values.npy"
    content = values.read_bytes()
    values.write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"case_1/values\.npy: has .* copy the run anew"):
        load(copy.path)
    values.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="SHA-256 differs"):
        copy.check(full=True)


DAMAGE = {"empty": b"", "list": b"[1, 2]"}


@pytest.fixture(scope="module")
def copied(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("copied") / "run"
    return Run.open(Path(shutil.copytree(run.path, folder)))


@pytest.mark.parametrize(
    "name",
    [
        "cases/case_1/choice.json", "cases/case_1/criterion.csv", "classifier/classifier.json",
        "storage/case_1/names.json", "storage/case_1/noise.json", "storage/case_1/similarity.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_table_or_setting_is_named(copied: Run, fab: Path, name: str, kind: str) -> None:
    """By whatever reads it: the estimator or the report; what nobody reads harms nobody."""
    path = copied.path / name
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[kind])
    try:
        load(copied, index="exact")
        write_report(copied, fab, copied.path.with_name("report.html"))
    except InputError as error:
        assert str(path) in str(error) or str(path.parent) in str(error)  # noqa: PT017
    finally:
        path.write_bytes(whole)
