"""Every figure is a PNG with something drawn on it."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from semtf.report import figures


def pixels(url: str) -> np.ndarray:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))


def test_training_curves(tmp_path: Path) -> None:
    head = ",".join(["epoch", *figures.LOSSES])
    flat, bent = tmp_path / "flat.csv", tmp_path / "bent.csv"
    flat.write_text(f"{head}\n0,1,1,1,1,1\n1,1,1,1,1,1\n")
    bent.write_text(f"{head}\n0,1,1,1,1,1\n1,9,1,1,1,1\n")
    one, two = (pixels(figures.training_curves({"case 1": path})) for path in (flat, bent))
    assert one.std() > 5
    assert one.shape != two.shape or (one != two).any()


def test_image_rows_show_the_images() -> None:
    black, white = np.zeros((3, 72, 48), np.uint8), np.full((3, 72, 48), 212, np.uint8)
    dark = pixels(figures.image_rows({"first": black, "second": black}))
    half = pixels(figures.image_rows({"first": black, "second": white}))
    assert dark.mean() < half.mean() - 40


def test_percentile_profiles_and_reliability() -> None:
    images = np.random.default_rng(0).integers(0, 213, (4, 72, 48), dtype=np.uint8)
    assert pixels(figures.percentile_profiles({"fab": images})).std() > 5
    bins = [{"confidence": 0.9, "accuracy": 1.0, "count": 3}]
    with_point = pixels(figures.reliability_diagram(bins))
    without = pixels(figures.reliability_diagram([]))
    assert (with_point != without).any()
