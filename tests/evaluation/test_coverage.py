"""Coverage of intervals: errors of known distribution, groups, and files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from semtf.cli import main
from semtf.data.png import write_png
from semtf.errors import InputError
from semtf.evaluation.coverage import Judged, coverage_table, read_estimates

PLATE, WALL, FLOOR = 140.0, 90.0, 40.0


def judged(n: int = 400, factor: float = 1.0) -> Judged:
    """Normal errors of σ 2 on plate, wall and floor, σ told as ``factor`` times 2; and pixels that
    are certain, of which a tenth are wrong."""
    depth = np.tile(np.repeat([PLATE, PLATE - 1, WALL, FLOOR], 6), (n, 8, 1))
    generator = np.random.default_rng(0)
    error = 2 * generator.normal(size=depth.shape)
    sigma = np.full(depth.shape, 2.0 * factor)
    sigma[:, :, :6] = 0
    error[:, :, :6] = np.where(generator.random((n, 8, 6)) < 0.1, 3.0, 0.0)
    return Judged(depth, sigma, depth + error)


def test_coverage_of_normal_errors() -> None:
    table = coverage_table(judged()).set_index("zone")
    for zone in ("plate", "wall", "floor"):
        assert table.loc[zone, "coverage"] == pytest.approx(0.9, abs=0.005)
        assert table.loc[zone, "low"] < table.loc[zone, "coverage"] < table.loc[zone, "high"]
        assert table.loc[zone, "high"] - table.loc[zone, "low"] < 0.02
        assert table.loc[zone, "width"] == pytest.approx(3.29, abs=0.01)
        assert table.loc[zone, "pixels"] == pytest.approx(0.25)
    assert table.loc["certain", "coverage"] == pytest.approx(0.9, abs=0.01)
    assert table.loc["certain", "right"] == pytest.approx(0.9, abs=0.01)
    narrow = coverage_table(judged(factor=0.5)).set_index("zone")
    assert narrow.loc["wall", "coverage"] == pytest.approx(0.589, abs=0.01)


def test_a_site_is_one_unit() -> None:
    """Errors that all crops of a site share make the coverage less certain."""
    one = judged(40)
    shared = np.repeat(np.random.default_rng(1).normal(size=8), 5)[:, None, None]
    together = Judged(one.depth, one.sigma, one.truth + 2 * shared)
    sites = np.repeat([f"s{i}" for i in range(8)], 5)
    alone, by_site = (
        coverage_table(together, sites=given).query("by == 'all' and zone == 'wall'").iloc[0]
        for given in (None, sites)
    )
    assert (alone["units"], by_site["units"]) == (40, 8)
    assert by_site["high"] - by_site["low"] > alone["high"] - alone["low"]


def test_groups() -> None:
    cases = np.repeat([1, 2], 200)
    similarity = np.linspace(0.9, 1, 400)
    table = coverage_table(judged(), cases=cases, similarity=similarity)
    assert set(table["by"]) == {"all", "case", "similarity"}
    assert set(table.query("by == 'case'")["group"]) == {"1", "2"}
    assert (table.query("by == 'similarity'")["units"] == 100).all()


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main.run(["evaluate", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = judged(6)
    for folder, images in (("out", one.depth), ("truth", one.truth)):
        (tmp_path / folder).mkdir()
        for i, image in enumerate(images):
            write_png(tmp_path / folder / f"{i}.png", image.clip(0, 255).round().astype(np.uint8))
    for i in range(6):
        np.save(tmp_path / f"out/{i}.npy", one.depth[i])
        np.save(tmp_path / f"out/{i}_sigma.npy", one.sigma[i])
    options = ("--predictions", tmp_path / "out", "--truth", tmp_path / "truth", "--sigma")
    assert call(*options) == 0
    printed = capsys.readouterr().out
    assert "wall: " in printed
    assert "half width 3.29" in printed
    assert call(*options, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["sigma"]
    assert {row["zone"] for row in rows} == {"certain", "plate", "wall", "floor"}
    path = tmp_path / "out/3_sigma.npy"
    harmed = {
        "cannot be read": b"",
        "holds no map of finite numbers": np.full(one.sigma[0].shape, np.nan),
        "a sigma is negative": -one.sigma[3],
        r"has shape \[7, 4\] instead of": np.ones((7, 4)),
    }
    for message, content in harmed.items():
        path.unlink()
        path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
        assert call(*options) == 2
        assert re.search(rf"3_sigma\.npy: .*{message}", capsys.readouterr().err), message
    (tmp_path / "out/3_sigma.npy").unlink()
    assert call(*options) == 2
    assert "3_sigma.npy" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"3_sigma\.npy.*--arrays"):
        read_estimates(tmp_path / "out", np.array([f"{i}.png" for i in range(6)]))
