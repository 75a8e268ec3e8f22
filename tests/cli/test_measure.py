"""`semtf measure` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semtf.cli import main
from semtf.metrology.hole import measure


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    """A folder with two round holes of 12 and 15 pixels radius, and a plate without one."""
    folder = tmp_path / "depth"
    folder.mkdir()
    rows, columns = np.mgrid[:72, :48]
    for name, radius in (("a", 12.0), ("b", 15.0), ("plate", -9.0)):
        wall = np.clip(0.5 + (radius - np.hypot(rows - 36, columns - 24)) / 6, 0, 1)
        Image.fromarray(np.rint(150 - 120 * wall).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run(["measure", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_table_and_summary(depth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "table.csv"
    arguments = ("--depth", depth, "--out", out, "--pixel-size-nm", 2, "--level-nm", 1.5)
    assert call(*arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["holes"]) == (3, 2)
    assert found["mean"]["cd_rows_px"] == pytest.approx(27.0, abs=0.05)
    assert found["std"]["plate_level"] == 0
    table = pd.read_csv(out, index_col="name")
    assert table.index.tolist() == ["a.png", "b.png", "plate.png"]
    np.testing.assert_allclose(table["cd_columns_nm"][:2], [48.0, 60.0], atol=0.2)
    angle = np.degrees(np.arctan(120 * 1.5 / (6 * 2)))
    np.testing.assert_allclose(table["sidewall_angle_deg"][:2], angle, atol=0.3)
    assert table.loc["plate.png"].drop("plate_level").isna().all()
    again = measure(np.asarray(Image.open(depth / "b.png")), 2.0, 1.5).iloc[0]
    np.testing.assert_allclose(table.loc["b.png"], again, rtol=1e-5)
    assert call(*arguments) == 0
    assert "2 holes in 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pixel-size-nm", "0"), "pixel_size_nm 0"),
        (("--level-nm", "-2"), "level_nm -2"),
        (("--size", "48,72"), "a.png"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...],
    message: str,
    depth: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "table.csv"
    assert call("--depth", depth, "--out", out, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
