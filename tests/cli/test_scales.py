"""`semtf predict` on images of another scale: float files are refused, dark ones are flagged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semtf.cli import main
from semtf.run import Run


def predict(run: Run, images: Path, out: Path, *options: str) -> int:
    given = {"--run": run.path, "--images": images, "--out": out}
    words = [str(word) for pair in given.items() for word in pair]
    with pytest.raises(SystemExit) as stop:
        main.run(["predict", *words, *options])
    return int(stop.value.code or 0)


def sem(fab: Path, number: int) -> np.ndarray:
    with Image.open(fab / f"test/SEM/{number:06d}.png") as image:
        return np.asarray(image.convert("L"))


def test_float_files_are_refused(
    run: Run, fab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(sem(fab, 0)).save(images / "a.tif")
    for divisor in (255, 1):
        Image.fromarray((sem(fab, 1) / divisor).astype(np.float32)).save(images / "b.tif")
        assert predict(run, images, tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert "b.tif: pixel format F; save it as 8-bit grey levels (0-1 times 255)" in error
    assert predict(run, images, tmp_path / "out", "--skip-bad") == 0
    assert "left out" in capsys.readouterr().err


def test_dark_images_are_flagged(
    run: Run, fab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(sem(fab, 0)).save(images / "bright.png")
    Image.fromarray(sem(fab, 0) // 2).save(images / "half.png")
    # 12 of 16 bits, given the range of all 16.
    Image.fromarray(sem(fab, 0).astype(np.uint16) * 16).save(images / "twelve.png")
    assert predict(run, images, tmp_path / "out", "--range16=0,65535") == 0
    said = capsys.readouterr()
    assert "unusual_scale" in said.out
    assert "of the images are flagged unusual_scale: they are darker or brighter" in said.err
    table = pd.read_csv(tmp_path / "out/predictions.csv", index_col="name", keep_default_na=False)
    flagged = {name: "unusual_scale" in flags.split() for name, flags in table["flags"].items()}
    assert flagged == {"bright.png": False, "half.png": True, "twelve.png": True}
