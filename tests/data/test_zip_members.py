"""Zip archives as the tools of other systems write them."""

import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.data.dataset import open_dataset
from semtf.data.file_source import MOST_TEXT
from semtf.data.image_folder import open_images
from semtf.data.zip_members import members
from semtf.errors import InputError


def archive(path: Path, names: list[str | bytes]) -> Path:
    """A zip file whose names are these bytes, with no word about their code page."""
    entries = b""
    directory = b""
    for name in names:
        raw = name.encode() if isinstance(name, str) else name
        flags = 0x800 if isinstance(name, str) and not name.isascii() else 0
        fields = (20, flags, 0, 0, 0, 0, 0, 0, len(raw), 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *fields, 0, 0, 0, 0, len(entries))
        directory += raw
        entries += struct.pack("<4s5H3L2H", b"PK\3\4", *fields) + raw
    counts = (0, 0, len(names), len(names), len(directory), len(entries), 0)
    path.write_bytes(entries + directory + struct.pack("<4s4H2LH", b"PK\5\6", *counts))
    return path


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["./a/b.png", "./c.png"], ["a/b.png", "c.png"]),
        (["/a/b.png", "a//./c.png"], ["a/b.png", "a/c.png"]),
        (["a\\b.png", "a\\c\\d.png"], ["a/b.png", "a/c/d.png"]),
        (["a/", "a/b.png"], ["a/b.png"]),
        (["ウェハ/1.png"], ["ウェハ/1.png"]),
        (["ウェハ/ソ.png".encode("cp932")], ["ウェハ/ソ.png"]),
        (["ソ.png".encode("cp932"), "表1.png".encode("cp932")], ["ソ.png", "表1.png"]),
        (["成功/許.png".encode("big5")], ["成功/許.png"]),
        (["晶圆/孔.png".encode("gbk")], ["晶圆/孔.png"]),
        (["晶圆/1.png".encode()], ["晶圆/1.png"]),
        # A backslash is a letter of a name where folders are separated by a slash.
        (["a/b\\c.png"], ["a/b\\c.png"]),
    ],
)
def test_names_of_members(names: list[str | bytes], paths: list[str], tmp_path: Path) -> None:
    assert [path for path, _ in members(archive(tmp_path / "a.zip", names))] == paths


@pytest.mark.parametrize("page", ["cp932", "big5", "gbk"])
def test_a_letter_whose_second_byte_is_a_backslash_is_not_split(page: str, tmp_path: Path) -> None:
    letters = []
    for lead in range(0x81, 0xFD):
        try:
            text = bytes([lead, 0x5C]).decode(page)
        except UnicodeDecodeError:
            continue
        letters += [text] if len(text) == 1 else []
    assert len(letters) > 20
    names: list[str | bytes] = [f"{letter}.png".encode(page) for letter in letters]
    found = [path for path, _ in members(archive(tmp_path / "a.zip", names))]
    assert len(found) == len(letters)
    assert not any("/" in path or "\\" in path for path in found)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../a.png"], "leads out of the zip file"),
        (["a/../../b.png"], "leads out of the zip file"),
        (["..\\a.png"], "leads out of the zip file"),
        (["a.png", "./a.png"], "a.png: is there twice"),
    ],
)
def test_names_that_are_refused(names: list[str | bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        members(archive(tmp_path / "a.zip", names))


@pytest.mark.parametrize("name", ["train/average_depth.csv", "cases.json"])
def test_a_text_of_gigabytes_is_not_unpacked(name: str, world: Path, tmp_path: Path) -> None:
    with (world / name).open("ab") as stream:
        stream.truncate(MOST_TEXT + 1)
    small = tmp_path / "open.zip"
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(path for path in world.rglob("*") if path.is_file()):
            opened.write(path, str(path.relative_to(world)))
    for root in (world, small):
        with pytest.raises(InputError, match=f"{name}: cannot be read .*too many"):
            open_dataset(root, cases=(1,))


def pack(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as opened:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            opened.write(path, prefix + str(path.relative_to(folder)))
    return target


def test_an_archive_that_takes_the_place_of_another_is_read(world: Path, tmp_path: Path) -> None:
    first = shutil.make_archive(str(tmp_path / "first"), "zip", world)
    open_dataset(first, cases=(1,))
    for path in sorted((world / "test/SEM").iterdir())[:3]:
        path.unlink()
    shutil.make_archive(str(tmp_path / "second"), "zip", world)
    (tmp_path / "second.zip").replace(first)
    assert len(open_dataset(first, cases=(1,)).test().images) == 2


def test_a_data_set_made_by_bsdtar_is_opened(world: Path, tmp_path: Path) -> None:
    wanted = open_dataset(world, cases=(1,)).fab(1).images
    for prefix in ("./", "/", "open/open/", "./a/b/c/"):
        found = open_dataset(pack(world, tmp_path / "open.zip", prefix), cases=(1,))
        np.testing.assert_array_equal(found.fab(1).images, wanted)


@pytest.mark.parametrize("named", [True, False])
def test_the_hosts_three_archives_side_by_side(world: Path, tmp_path: Path, named: bool) -> None:
    """The folders' names may be in the archives or not; one may be unpacked already."""
    wanted = open_dataset(world, cases=(1,))
    handed = tmp_path / "handed"
    handed.mkdir()
    shutil.copytree(world / "test", handed / "test")
    for name in ("train", "simulation_data"):
        pack(world / name, handed / f"{name}.zip", f"{name}/" if named else "")
    found = open_dataset(handed, cases=(1,))
    np.testing.assert_array_equal(found.fab(1).images, wanted.fab(1).images)
    np.testing.assert_array_equal(found.simulator(1).sem, wanted.simulator(1).sem)
    np.testing.assert_array_equal(found.test().images, wanted.test().images)
    assert found.average_depth.equals(wanted.average_depth)


def test_archives_within_an_archive_are_named(world: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    pack(world / "train", inner / "train.zip", "train/")
    outer = pack(inner, tmp_path / "outer.zip")
    with pytest.raises(InputError, match=r"it has the zip file train\.zip: unpack it, or name it"):
        open_dataset(outer)
    shutil.move(outer, inner / "data.zip")
    (inner / "train.zip").unlink()
    with pytest.raises(InputError, match=r"it has the zip file data\.zip: unpack it, or name it"):
        open_dataset(inner)


def test_images_of_an_archive_with_names_in_shift_jis(tmp_path: Path, draw) -> None:
    Image.fromarray(draw(1)).save(tmp_path / "a.png")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.write(tmp_path / "a.png", "XX/YY.png")
    path.write_bytes(path.read_bytes().replace(b"XX/YY", "ソ/表".encode("cp932")))
    found = open_images(path)
    assert found.names.tolist() == ["表.png"]
    np.testing.assert_array_equal(found.images, [draw(1)])
