"""Commands that are killed at random moments end as if nothing had been, and show no half files."""

from pathlib import Path

import pytest
from kills import commands, kill

from semtf.run import Run

NAMES = ("train", "predict", "report", "export", "benchmark")


def test_killed_packing(fab: Path, tmp_path: Path) -> None:
    made = commands(fab, tmp_path / "no run")
    assert {"pack", *NAMES} == made.keys()
    assert "the same result" in kill("pack", made["pack"], tmp_path, kills=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_commands(name: str, fab: Path, run: Run, tmp_path: Path) -> None:
    assert "the same result" in kill(name, commands(fab, run.path)[name], tmp_path, kills=5)
