"""The README's commands are commands, its files are there, and its Python runs."""

import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from semtf.data.dataset import open_dataset
from semtf.run import Run
from tests.documents import PAGES, ROOT, blocks, command_lines, parsed

WITH_ARGUMENTS = tuple(f"scripts/{name}" for name in ("bench", "lock", "run", "test", "wheelhouse"))
LINES = [line for page in PAGES for line in command_lines(page)]


@pytest.mark.parametrize("line", LINES)
def test_command_line_is_valid(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)
    if name.startswith("scripts/"):
        assert (ROOT / name).is_file()
        assert not arguments or name in WITH_ARGUMENTS
        return
    assert parsed(line).params


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)\)", prose):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_python_of_the_readme_runs(
    run: Run, fab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import semtf as package

    ((_, block),) = blocks(ROOT / "README.md", "python")
    images = np.asarray(open_dataset(fab).test().images[:2])
    monkeypatch.chdir(tmp_path)
    # Only the calls that take minutes are replaced, by what they would return; that an export is
    # compared with Python is tested where exports are.
    monkeypatch.setattr(package, "simulate", lambda out, pairs, seed: fab, raising=False)
    monkeypatch.setattr(package, "train", lambda data, run: package.Run.open(path), raising=False)
    monkeypatch.setattr(package, "export", partial(package.export, check=False), raising=False)
    path = run.path
    exec(block, {"images": images})  # noqa: S102 - our own README
    assert (tmp_path / "saved_models/semtf/1/saved_model.pb").exists()
