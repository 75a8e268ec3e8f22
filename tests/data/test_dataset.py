import dataclasses
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.data.dataset import open_dataset
from semtf.data.image_folder import open_images
from semtf.data.image_sets import ImageSet
from semtf.errors import InputError

Draw = Callable[..., np.ndarray]
Save = Callable[[Path, np.ndarray], None]
SEM1 = "simulation_data/SEM/Case_1/80"


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            stored = zipfile.ZIP_STORED if path.suffix == ".csv" else None
            archive.write(path, top + str(path.relative_to(folder)), stored)
    return target


def test_every_image_arrives_in_its_place(world: Path, draw: Draw) -> None:
    data = open_dataset(world, cases=(1, 2))
    pairs = data.simulator(2)
    order = [0, 2, 1, 3]  # two buckets, in the order of their names
    assert pairs.bases.tolist() == [f"hole_{pair}" for pair in order]
    assert pairs.buckets.tolist() == ["80", "80", "extra bucket", "extra bucket"]
    for row, pair in enumerate(order):
        np.testing.assert_array_equal(pairs.sem[row, 0], draw(2000 + 10 * pair))
        np.testing.assert_array_equal(pairs.sem[row, 1], draw(2001 + 10 * pair))
        np.testing.assert_array_equal(pairs.depth[row], draw(2002 + 10 * pair, 150))
    fab = data.fab(1)
    assert fab.sites.tolist() == [f"site_{site:05d}" for site in range(3) for _ in range(3)]
    for name, image in zip(fab.names, fab.images, strict=True):
        np.testing.assert_array_equal(image, draw(100_000 + int(name[4:10])))
    assert data.test().names.tolist() == [f"{number:06d}.png" for number in range(5)]
    np.testing.assert_array_equal(data.test().images[3], draw(900_003))
    assert data.skipped == []


def test_average_depth_joins_the_fab_by_case_and_site(world: Path) -> None:
    data = open_dataset(world, cases=(2,))
    table = data.average_depth
    assert table.columns.tolist() == ["case", "site", "depth"]
    assert table.groupby("case").depth.mean().tolist() == pytest.approx([109.125, 119.125])
    assert set(data.fab(2).sites) == set(table.site[table.case == 2])
    depth = dict(zip(data.fab(2).sites, data.site_depths(2), strict=True))
    assert depth == dict(table[table.case == 2][["site", "depth"]].itertuples(index=False))
    unknown = dataclasses.replace(data, average_depth=table[table.case == 1])
    assert np.isnan(unknown.site_depths(2)).all()


def test_mean_and_subset(world: Path) -> None:
    pairs = open_dataset(world, cases=(1,)).simulator(1)
    chosen = pairs.subset(np.array([3, 1]))
    assert chosen.bases.tolist() == ["hole_3", "hole_2"]
    mean = pairs.mean_sem(np.array([3, 1]))
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, chosen.sem.astype(float).mean(axis=1))
    mask = pairs.bases == "hole_1"
    np.testing.assert_array_equal(pairs.subset(mask).depth, pairs.depth[2:3])


@pytest.mark.parametrize("top", ["", "open/"])
def test_a_zip_file_gives_what_its_folder_gives(world: Path, tmp_path: Path, top: str) -> None:
    archive = zipped(world, tmp_path / "data.zip", top)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    folder, packed = open_dataset(world, cases=(1, 2)), open_dataset(archive, cases=(1, 2))
    for case in (1, 2):
        np.testing.assert_array_equal(folder.simulator(case).sem, packed.simulator(case).sem)
        np.testing.assert_array_equal(folder.fab(case).images, packed.fab(case).images)
        assert folder.fab(case).sites.tolist() == packed.fab(case).sites.tolist()
    assert folder.average_depth.equals(packed.average_depth)
    new = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert new == {"cache"}


def test_a_folder_that_holds_open_zip_is_enough(world: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    zipped(world, tmp_path / "here/open.zip")
    assert len(open_dataset(tmp_path / "here", cases=(1,)).simulator(1)) == 4


def test_stray_files_are_passed_over(world: Path, draw: Draw, save: Save) -> None:
    save(world / SEM1 / ".ipynb_checkpoints/hole_0_itr0-checkpoint.png", draw(1))
    save(world / "test/SEM/.ipynb_checkpoints/000000-checkpoint.png", draw(1))
    save(world / "train/SEM/Depth_110/site_00000/._SEM_000000.png", draw(1))
    for name in ("Thumbs.db", "simulation_data/SEM/Case_1/.DS_Store", "test/SEM/notes.txt"):
        (world / name).write_bytes(b"\0\1")
    data = open_dataset(world, cases=(1,))
    assert (len(data.simulator(1)), len(data.fab(1)), len(data.test())) == (4, 9, 5)
    assert data.skipped == []


def test_what_training_does_not_need_may_be_missing(world: Path) -> None:
    shutil.rmtree(world / "test")
    (world / "train/average_depth.csv").unlink()
    data = open_dataset(world, cases=(1,))
    assert data.average_depth.columns.tolist() == ["case", "site", "depth"]
    assert data.average_depth.empty
    with pytest.raises(InputError, match="test/SEM"):
        data.test()
    with pytest.raises(InputError, match="case 2"):
        data.simulator(2)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("missing", "empty", "text.zip"):
        for function in (open_dataset, open_images):
            with pytest.raises(InputError, match=name):
                function(tmp_path / name)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def to_16_bits(path: Path) -> None:
    with Image.open(path) as image:
        levels = np.asarray(image).astype(np.uint16)
    Image.fromarray(levels).save(path)


def transpose(path: Path) -> None:
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.TRANSPOSE)
    turned.save(path)


BAD = {
    "damaged": (damage, "checksum"),
    "truncated": (truncate, "truncated"),
    "16 bits": (to_16_bits, "16 bits"),
    "transposed": (transpose, "48 x 72"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "removed partner": (lambda path: path.unlink(), "itr0 of hole_0 missing"),
    "a name without itr": (
        lambda path: path.with_name("hole_0_itr1.png").replace(path.with_name("hole_0.png")),
        "ends neither",
    ),
}


@pytest.mark.parametrize(("harm", "reason"), BAD.values(), ids=BAD)
def test_a_bad_image_is_named_or_left_out(
    world: Path, harm: Callable[[Path], object], reason: str
) -> None:
    harm(world / SEM1 / "hole_0_itr0.png")
    with pytest.raises(InputError) as found:
        open_dataset(world, cases=(1, 2))
    message = str(found.value)
    assert reason in message
    assert SEM1 in message
    assert "--skip-bad" in message
    assert "\n" not in message
    data = open_dataset(world, cases=(1, 2), skip_bad=True)
    assert data.simulator(1).bases.tolist() == ["hole_2", "hole_1", "hole_3"]
    assert data.simulator(1).sem.shape == (3, 2, 72, 48)
    assert len(data.simulator(2)) == 4
    assert data.skipped
    assert all(skipped.path.startswith(str(world / SEM1 / "hole_0")) or "Depth" in skipped.path
               for skipped in data.skipped)  # fmt: skip
    assert any(reason in skipped.reason for skipped in data.skipped)


def test_the_message_counts_the_bad_images(world: Path) -> None:
    for number in (1, 2, 4):
        truncate(world / f"test/SEM/{number:06d}.png")
    with pytest.raises(InputError, match=r"000001\.png.*3 such files"):
        open_dataset(world, cases=(1,))
    data = open_dataset(world, cases=(1,), skip_bad=True)
    assert data.test().names.tolist() == ["000000.png", "000003.png"]
    assert [Path(skipped.path).name for skipped in data.skipped] == [
        "000001.png", "000002.png", "000004.png"]  # fmt: skip


@pytest.mark.parametrize("folder", ["simulation_data/SEM/Case_2", "train/SEM/Depth_120"])
def test_a_case_without_pairs_or_fab_images_is_named(world: Path, folder: str) -> None:
    shutil.rmtree(world / folder)
    with pytest.raises(InputError, match=f"{folder}.*case 2.*--case"):
        open_dataset(world, cases=(1, 2), skip_bad=True)
    assert open_dataset(world, cases=(1,), skip_bad=True).cases == (1,)


def test_a_case_with_only_bad_images_is_named(world: Path) -> None:
    for path in (world / "train/SEM/Depth_110").rglob("*.png"):
        truncate(path)
    with pytest.raises(InputError, match="case 1"):
        open_dataset(world, cases=(1, 2), skip_bad=True)


@pytest.mark.parametrize(
    "text",
    [
        "site,depth\ndepth_110_site_00000,108.5\n",
        "0,1,2\ndepth_110_site_00000,108.5,1\n",
        "0,1\n00000,108.5\n",
        "0,1\ndepth_110_site_00000,deep\n",
        "0,1\ndepth_110_site_00000,nan\n",
        "0,1\ndepth_110_site_00000\n",
        "0,1\ndepth_115_site_00000,108.5\n",
        "0,1\ndepth_990_site_00000,108.5\n",
        "0,1\ndepth_110_site_00000,9999\n",
        "0,1\ndepth_110_site_00000,-1\n",
        "0,1\ndepth_110_site_00000,108.5\nDepth_110_site_00000,108.5\n",
        "0,1\ndepth_110_site_00000,108.5\nDEPTH_110_SITE_00000,108.5\n",
        "0,1\ndepth_110_,108.5\n",
        "0,1\ndepth_110_site_00000,1_0_8\n",
        "0,1\ndepth_110_site_00000,\u0661\u0660\u0668\n",
        "",
    ],
)
def test_a_table_with_wrong_columns_is_named(world: Path, text: str) -> None:
    (world / "train/average_depth.csv").write_text(text)
    with pytest.raises(InputError, match=r"average_depth\.csv"):
        open_dataset(world, cases=(1,))


def test_images_of_a_plain_folder_and_of_a_zip_file(tmp_path: Path, draw: Draw, save: Save) -> None:
    folder = tmp_path / "plain"
    for name, seed in (("b.png", 1), ("a.tif", 2), ("C.PNG", 3)):
        save(folder / name, draw(seed))
    (folder / "notes.txt").write_text("no image")
    for root in (
        folder,
        zipped(folder, tmp_path / "flat.zip"),
        zipped(folder, tmp_path / "t.zip", "top/"),
    ):
        found = open_images(root)
        assert found.names.tolist() == ["C.PNG", "a.tif", "b.png"]
        np.testing.assert_array_equal(found.images, [draw(3), draw(2), draw(1)])


def test_images_of_another_size_and_depth(tmp_path: Path, save: Save) -> None:
    levels = np.arange(30 * 40).reshape(30, 40).astype(np.uint16) * 50
    save(tmp_path / "plain/deep.tif", levels)
    with pytest.raises(InputError, match=r"deep\.tif.*16 bits"):
        open_images(tmp_path / "plain", size=(30, 40))
    found = open_images(tmp_path / "plain", size=(30, 40), range16=(0, 51_000))
    np.testing.assert_array_equal(found.images[0], np.clip(np.rint(levels / 200), 0, 255))
    with pytest.raises(InputError, match=r"deep\.tif.*30 x 40.*expected 72 x 48"):
        open_images(tmp_path / "plain", size=(72, 48))


def test_bad_images_of_a_plain_folder_are_left_out(world: Path) -> None:
    truncate(world / "test/SEM/000002.png")
    with pytest.raises(InputError, match=r"000002\.png"):
        open_images(world / "test/SEM")
    found = open_images(world / "test/SEM", skip_bad=True)
    assert isinstance(found, ImageSet)
    assert found.names.tolist() == ["000000.png", "000001.png", "000003.png", "000004.png"]
    assert len(found.images) == 4
    assert [Path(skipped.path).name for skipped in found.skipped] == ["000002.png"]


def test_a_damaged_zip_member_is_a_bad_image(world: Path, tmp_path: Path) -> None:
    archive = zipped(world, tmp_path / "data.zip")
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo("test/SEM/000001.png")
    data = bytearray(archive.read_bytes())
    data[member.header_offset + 200] ^= 255
    archive.write_bytes(data)
    with pytest.raises(InputError, match=r"data\.zip/test/SEM/000001\.png"):
        open_dataset(archive, cases=(1,))
    assert len(open_dataset(archive, cases=(1,), skip_bad=True).test()) == 4


def test_a_dangling_link_and_a_pipe_are_bad_images(world: Path) -> None:
    (world / "test/SEM/link.png").symlink_to("nowhere.png")
    os.mkfifo(world / "test/SEM/pipe.png")
    data = open_dataset(world, cases=(1,), skip_bad=True)
    assert [Path(skipped.path).name for skipped in data.skipped] == ["link.png", "pipe.png"]
    assert len(data.test()) == 5


def test_a_folder_that_is_no_cases_is_told(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "train/SEM/Depth_115/site_00000").mkdir(parents=True)
    open_dataset(world, cases=(1,))
    assert "train/SEM: no case has the folder Depth_115" in capsys.readouterr().err


def test_a_plain_folder_may_stand_for_the_fab(world: Path, tmp_path: Path) -> None:
    shutil.rmtree(world / "train")
    (world / "test/SEM").rename(tmp_path / "plain")
    images = open_images(tmp_path / "plain")
    data = open_dataset(world, cases=(2,), fab={2: images})
    np.testing.assert_array_equal(data.fab(2).images, images.images)
    assert data.fab(2).names.tolist() == images.names.tolist()
    assert len(set(data.fab(2).sites)) == 5
    with pytest.raises(InputError, match="9"):
        open_dataset(world, cases=(2,), fab={2: images, 9: images})
