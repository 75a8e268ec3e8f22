"""What a prediction writes: a folder or a flat zip, and one table."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.errors import InputError
from semtf.estimation.destination import Destination, safe_destination
from semtf.estimation.predictions import Predictions, read_column
from semtf.estimation.result import DepthResult, Neighbour

NAMES = ["000000.png", "000001.png"]


def result() -> DepthResult:
    depth = np.linspace(-3, 260, 2 * 72 * 48, dtype=np.float32).reshape(2, 72, 48)
    return DepthResult(
        depth=depth,
        sigma=np.full_like(depth, 2.0),
        case=np.array([1, 4], np.int32),
        case_probability=np.array([1.0, 0.5], np.float32),
        similarity=np.array([0.99, 0.5], np.float32),
        neighbours=[[Neighbour("a", (1, -2), 0.75), Neighbour("b", (0, 0), 0.25)], []],
        flags=[[], ["case_in_doubt", "unlike_storage"]],
    )


def destination(out: Path, arrays: bool = False) -> Destination:
    return safe_destination(out, NAMES, Path("images"), arrays=arrays)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_folder_with_arrays(tmp_path: Path) -> None:
    found = result()
    with Predictions(destination(tmp_path / "out", arrays=True)) as predictions:
        predictions.write(NAMES, found)
    expected = np.clip(np.rint(found.depth), 0, 255).astype(np.uint8)
    for i, name in enumerate(NAMES):
        image = Image.open(tmp_path / "out" / name)
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), expected[i])
        stem = name[:-4]
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{stem}.npy"), found.depth[i])
        assert (np.load(tmp_path / "out" / f"{stem}_sigma.npy") == 2).all()
    first, second = table(tmp_path / "out" / "predictions.csv")
    assert first["name"] == "000000.png"
    assert (first["case"], second["case"]) == ("1", "4")
    assert first["neighbours"] == "a:+1:-2:0.7500 b:+0:+0:0.2500"
    assert second["flags"] == "case_in_doubt unlike_storage"
    assert first["sigma_mean"] == "2.0000"


def test_flat_zip_with_the_table_beside_it(tmp_path: Path) -> None:
    with Predictions(destination(tmp_path / "sub" / "submission.zip")) as predictions:
        predictions.write(NAMES, result())
    with zipfile.ZipFile(tmp_path / "sub" / "submission.zip") as archive:
        assert archive.namelist() == NAMES
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == [
        "predictions.csv",
        "submission.zip",
    ]


@pytest.mark.parametrize("name", ["submission.zip", "folder"])
def test_an_interruption_leaves_the_old_prediction(name: str, tmp_path: Path) -> None:
    out = tmp_path / name

    def interrupted() -> None:
        with Predictions(destination(out)) as predictions:
            predictions.write(NAMES, result())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with Predictions(destination(out)) as predictions:
        predictions.write(NAMES, result())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == (2 if name == "submission.zip" else 3)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not list(tmp_path.rglob("*.partial"))


def test_refused_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--arrays"):
        destination(tmp_path / "a.zip", arrays=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        destination(tmp_path / "file")
    with pytest.raises(InputError, match="file is none"):
        destination(tmp_path / "file" / "out")
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        destination(tmp_path / "folder.zip")
    for name in ("sub.tar", "sub.tar.gz", "sub.7z", "sub.rar", "a.PNG", "predictions.csv"):
        with pytest.raises(InputError, match=r"a folder or a name that ends in \.zip"):
            destination(tmp_path / name)
    destination(tmp_path / "preds-v1.5" / "2024.05.01")


def test_an_image_with_two_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("name,site\n0.png,a\n0.tif,b\n")
    with pytest.raises(InputError, match="0 has more than one site"):
        read_column(path, "site", np.array(["0.png"]))
    path.write_text("name,site\n0.png,a\n0.tif,a\n")
    assert read_column(path, "site", np.array(["0.png"])).tolist() == ["a"]
