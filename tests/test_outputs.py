"""Outputs never replace inputs or strangers' files, and are whole or not there."""

from pathlib import Path

import pytest

from semtf.errors import InputError
from semtf.outputs import check_file, check_folder, give_name, is_unused, protect, replacing


def test_an_input_is_known_under_every_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = tmp_path / "in" / "a.png"
    image.write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "b.png").symlink_to(image)
    (tmp_path / "hard.png").hardlink_to(image)
    names = ("in/a.png", "link/a.png", "link/../in/a.png", "b.png", "hard.png")
    for name in names:
        with pytest.raises(InputError, match="would replace the input"):
            protect([tmp_path / name], [tmp_path / "in", image, None])
    with pytest.raises(InputError, match="would replace the input"):
        protect([tmp_path / "in"], [tmp_path / "link" / "a.png"])
    protect([tmp_path / "in" / "new.png", tmp_path / "new"], [tmp_path / "in", image])


def test_a_file_that_is_somebody_elses_is_not_replaced(tmp_path: Path) -> None:
    def check(name: str) -> None:
        check_file(tmp_path / name, ".csv", "name,area", [tmp_path / "in.csv"])

    (tmp_path / "in.csv").write_text("name,area\n")
    (tmp_path / "sites.csv").write_text("name,site\n")
    (tmp_path / "own.csv").write_text("name,area\na,1\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "folder.csv").mkdir()
    for name, message in (
        ("in.csv", "would replace the input"),
        ("sites.csv", "another kind of file"),
        ("folder.csv", "is a folder"),
        ("table", r"ends in \.csv"),
        ("table.txt", r"ends in \.csv"),
        ("own.csv/table.csv", "no folder can be there"),
    ):
        with pytest.raises(InputError, match=message):
            check(name)
    for name in ("own.csv", "empty.csv", "new.csv", "new/folder/new.csv"):
        check(name)
    assert not (tmp_path / "new").exists()


def test_a_dangling_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="link is none"):
        check_folder(tmp_path / "link" / "out")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    link.symlink_to(real)

    def write(text: str, error: type[BaseException] | None) -> None:
        with replacing(link) as partial:
            partial.write_text(text)
            if error is not None:
                raise error

    write("old", None)
    with pytest.raises(KeyboardInterrupt):
        write("new", KeyboardInterrupt)
    assert real.read_text() == "old"
    write("new", None)
    assert real.read_text() == "new"
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_folder_gives_its_name_away(tmp_path: Path) -> None:
    folder, built = tmp_path / "folder", tmp_path / "built"
    assert is_unused(folder)
    folder.mkdir()
    assert is_unused(folder)
    (folder / ".DS_Store").write_text("mac")
    assert is_unused(folder)
    (folder / "note.txt").write_text("mine")
    assert not is_unused(folder)
    assert not is_unused(folder / "note.txt")
    built.mkdir()
    (built / "data").write_text("1")
    with pytest.raises(OSError, match="not empty"):
        give_name(built, folder)
    (folder / "note.txt").unlink()
    (folder / ".DS_Store").write_text("mac")
    give_name(built, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        ".DS_Store": "mac",
        "data": "1",
    }
    assert not built.exists()
