"""The notebook for Kaggle runs from first cell to last, on attached data and without any."""

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.notebook_process import NOTEBOOK, executed

CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CHEAP = {
    "adaptation": {"adapter": "moment"},
    "classification": {"backbone": "statistics", "epochs": 1},
    "retrieval": {"index": "exact", "neighbours": 2, "weights": "softmax", "tune": False},
}


def tagged(tag: str) -> str:
    """The code of the one cell with a tag."""
    (cell,) = [cell for cell in CELLS if tag in cell["metadata"].get("tags", [])]
    return "".join(cell["source"])


def shown(cell: Any) -> dict[str, str]:
    """What the last line of a cell shows, by MIME type."""
    return {kind: data for out in cell.outputs for kind, data in out.get("data", {}).items()}


def test_it_is_kept_without_outputs() -> None:
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_it_runs_on_attached_data(fab: Path, tmp_path: Path) -> None:
    given, work = tmp_path / "input", tmp_path / "working"
    (given / "datasets/owner").mkdir(parents=True)
    work.mkdir()
    (given / "datasets/owner/challenge").symlink_to(fab)
    before = sorted(fab.rglob("*"))
    settings = f"INPUT, WORK, CONFIG = Path({str(given)!r}), Path({str(work)!r}), {CHEAP!r}"
    cells = executed(settings, work)
    *_, measured = cells
    pictures = [cell for cell in cells if "image/png" in shown(cell)]
    tables = [cell for cell in cells if "text/html" in shown(cell)]
    assert len(pictures) == 1
    assert len(tables) == 4  # analysis, run, result, measurements
    assert "cd_rows_px" in shown(measured)["text/html"]
    printed = "".join(out.get("text", "") for cell in cells for out in cell.outputs)
    assert "\x1b" not in printed
    assert "retracing" not in printed
    assert "<title>semtf run" in (work / "run/report.html").read_text()
    assert (work / "analysis.html").exists()
    with zipfile.ZipFile(work / "submission.zip") as archive:
        names = archive.namelist()
        with Image.open(io.BytesIO(archive.read(names[0]))) as depth:
            assert np.asarray(depth).shape == (72, 48)
    assert sorted(names) == sorted(path.name for path in (fab / "test/SEM").iterdir())
    assert sorted(fab.rglob("*")) == before


def test_without_data_a_fab_is_made(tmp_path: Path) -> None:
    import semtf

    names: dict[str, Any] = {"semtf": semtf}
    exec(tagged("parameters"), names)  # noqa: S102 - our own notebook
    names |= {"INPUT": tmp_path, "WORK": tmp_path / "working"}
    names["SYNTHETIC"] = {"pairs": 2, "train": 2, "test": 1}
    exec(tagged("install"), names)  # noqa: S102
    for _ in range(2):
        exec(tagged("data"), names)  # noqa: S102
    assert len(list((names["data"] / "test/SEM").iterdir())) == 4


@pytest.mark.parametrize("kind", ["wheels", "source", "nothing"])
def test_what_is_installed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda command, check: commands.append(command))
    names: dict[str, Any] = {}
    exec(tagged("parameters"), names)  # noqa: S102
    names["INPUT"] = tmp_path
    if kind == "nothing":
        with pytest.raises(SystemExit, match="wheelhouse"):
            exec(tagged("install"), names)  # noqa: S102
        return
    folder = tmp_path / "semtf-wheels"
    (folder / "semtf").mkdir(parents=True)
    (folder / "semtf/version.py").touch()
    if kind == "wheels":
        wheels = [folder / "scann-1.whl", folder / "semtf-1.whl"]
        for wheel in wheels:
            wheel.touch()
        expected = ["--no-index", "--no-deps", *map(str, wheels)]
    else:
        monkeypatch.setattr("shutil.copytree", lambda source, to: f"copy of {source}")
        expected = [f"copy of {folder}"]
    exec(tagged("install"), names)  # noqa: S102
    assert commands == [[sys.executable, "-m", "pip", "install", "--quiet", *expected]]
