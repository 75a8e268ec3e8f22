"""Folders as they lie on disks: other pictures, folders in folders, folders beside images."""

from pathlib import Path

import pytest

from semtf.data.dataset import open_dataset
from semtf.data.endings import without_ending
from semtf.data.image_folder import image_files, open_images
from semtf.errors import InputError


def test_other_pictures_are_counted_and_named(
    tmp_path: Path, draw, save, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    for i, name in enumerate(["a.png", "b.tif", "c.jpg", "d.JPG", "e.bmp", "f.jpg"]):
        save(folder / name, draw(i))
    (folder / "notes.txt").write_text("no picture")
    assert open_images(folder).names.tolist() == ["a.png", "b.tif"]
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {folder}: passed over 1 .bmp, 3 .jpg (only PNG and TIFF files are read): "
        "c.jpg, d.JPG, e.bmp, ..."
    ]


def test_folders_beside_images_are_counted_and_named(
    tmp_path: Path, draw, save, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    for i, name in enumerate(["top/a.png", "top/old/b.png", "top/old/deep/c.png"]):
        save(folder / name, draw(i))
    found = open_images(folder)
    assert found.names.tolist() == ["a.png"]
    assert found.sites is None
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {folder}: passed over 2 .png (they lie in folders beside other images): "
        "top/old/b.png, top/old/deep/c.png"
    ]
    assert image_files(folder) == [folder / "top/a.png"]
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "sites"),
    [
        (["s1/a.png", "s2/a.png"], ["s1", "s2"]),
        (["lot/s1/a.png", "lot/s2/a.png"], ["s1", "s2"]),
        (["l1/s1/a.png", "l1/s2/a.png", "l2/s1/a.png"], ["l1/s1", "l1/s2", "l2/s1"]),
        (["f/l/w/s1/a.png", "f/l/w/s2/b.tif"], ["s1", "s2"]),
        (["l1/a.png", "l1/s1/b.png", "l2/c.png"], ["l1", "l1/s1", "l2"]),
    ],
)
def test_sites_at_any_depth(names: list[str], sites: list[str], tmp_path: Path, draw, save) -> None:
    for i, name in enumerate(names):
        save(tmp_path / "images" / name, draw(i))
    found = open_images(tmp_path / "images")
    assert found.sites is not None
    assert found.sites.tolist() == sites
    files = [name.rpartition("/")[2] for name in names]
    assert found.names.tolist() == [f"{s}/{f}" for s, f in zip(sites, files, strict=True)]


def test_a_folder_of_other_pictures_says_what_to_do(tmp_path: Path, draw, save) -> None:
    save(tmp_path / "images/a.bmp", draw(0))
    with pytest.raises(InputError, match=r"no PNG or TIFF images .*, but \.bmp; save them as PNG"):
        open_images(tmp_path / "images")


def test_a_data_set_tells_of_other_pictures(
    world: Path, draw, save, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, name in enumerate(["train/SEM/Depth_110/site_00000/x.jpg", "test/SEM/old/y.png"]):
        save(world / name, draw(i))
    assert len(open_dataset(world, cases=(1,)).fab(1)) == 9
    assert "passed over 1 .jpg, 1 .png (only PNG files in their places" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_refused(tmp_path: Path, draw, save) -> None:
    save(tmp_path / "a.png", draw(0))
    (tmp_path / "a.png").rename(tmp_path / "\udcff.png")
    with pytest.raises(InputError, match=r"no text in UTF-8; rename the file"):
        open_images(tmp_path)


def test_an_archive_beside_or_in_place_of_images_is_named(
    tmp_path: Path, draw, save, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "open.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"but the zip file open\.zip; unpack it, or name it"):
        open_images(tmp_path)
    save(tmp_path / "a.png", draw(0))
    open_images(tmp_path)
    assert "passed over 1 .zip" in capsys.readouterr().err


def test_a_name_keeps_what_is_no_ending() -> None:
    names = ["a.png", "s/a.TIF", "wafer.7", "wafer.7.png", "a"]
    assert list(map(without_ending, names)) == ["a", "s/a", "wafer.7", "wafer.7", "a"]
