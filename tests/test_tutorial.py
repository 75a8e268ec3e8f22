"""The tutorial's commands run one after the other, on a smaller fab and with cheaper training."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import documents

PAGE = documents.ROOT / "docs/tutorial.md"
SETTINGS = {
    "classification.backbone": "statistics",
    "retrieval.tune": "false",
    "retrieval.neighbours": "2",
    "retrieval.weights": "softmax",
}
SMALLER = {
    "semtf simulate": ("--pairs", "12", "--train", "12", "--test", "2"),
    "semtf-train": (
        *("--case", "1", "--adapter", "moment", "--index", "exact"),
        *(word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")),
    ),
}


def test_the_tutorial_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("DIR").symlink_to("data")
    Path("IMAGES").symlink_to("data/test/SEM")
    lines = documents.command_lines(PAGE)
    assert len(lines) == 9
    for line in lines:
        more = [options for start, options in SMALLER.items() if line.startswith(start)]
        documents.run(line, *more)
    assert "all" in capsys.readouterr().out
    ((_, block),) = documents.blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own documentation
    assert names["result"].names == sorted(path.name for path in Path("IMAGES").iterdir())
    assert len(pd.read_csv("holes.csv")) == 8
    for page in ("analysis.html", "look.html", "saved_models/mine/report.html", "submission.zip"):
        assert Path(page).stat().st_size > 0
