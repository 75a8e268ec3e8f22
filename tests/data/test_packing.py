import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.data import decoding, file_source, packing
from semtf.data.dataset import Dataset, open_dataset
from semtf.data.decoding import Decoder, Task
from semtf.data.file_source import FolderSource
from semtf.errors import InputError

Draw = Callable[..., np.ndarray]
Save = Callable[[Path, np.ndarray], None]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are decoded, in the order in which they are."""
    paths: list[str] = []
    real = decoding.decode_image

    def watch(data: bytes, name: str, **options: object) -> np.ndarray:
        paths.append(name)
        return real(data, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode_image", watch)
    return paths


def everything(data: Dataset) -> list[np.ndarray]:
    arrays = [data.test().images, data.test().names]
    for case in data.cases:
        pairs, fab = data.simulator(case), data.fab(case)
        arrays += [pairs.sem, pairs.depth, pairs.bases, fab.images, fab.sites, fab.names]
    return [np.array(array) for array in arrays]


def assert_same(first: Dataset, second: Dataset) -> None:
    for one, other in zip(everything(first), everything(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_decoded_twice(world: Path, decoded: list[str]) -> None:
    first = open_dataset(world, cases=(1, 2))
    assert len(decoded) == len(set(decoded)) == 2 * (12 + 9) + 5
    decoded.clear()
    second = open_dataset(world, cases=(2, 1))
    assert decoded == []
    np.testing.assert_array_equal(first.simulator(1).sem, second.simulator(1).sem)
    assert isinstance(second.fab(1).images, np.memmap)
    assert not second.fab(1).images.flags.writeable


def test_only_what_changed_is_decoded_again(
    world: Path, decoded: list[str], draw: Draw, save: Save, tmp_path: Path
) -> None:
    open_dataset(world, cases=(1, 2))
    decoded.clear()
    changed = "train/SEM/Depth_110/site_00001/SEM_000011.png"
    added = "train/SEM/Depth_110/site_00000/SEM_000005.png"
    save(world / changed, draw(5))
    save(world / added, draw(6))
    (world / "train/SEM/Depth_110/site_00002/SEM_000020.png").unlink()
    again = open_dataset(world, cases=(1, 2))
    assert sorted(decoded) == sorted([added, changed])
    assert_same(again, open_dataset(world, cases=(1, 2), cache=tmp_path / "fresh"))
    np.testing.assert_array_equal(again.fab(1).images[3], draw(6))


def test_a_change_that_keeps_size_and_time_is_noticed(world: Path, decoded: list[str]) -> None:
    image, other = world / "test/SEM/000000.png", world / "test/SEM/000001.png"
    image.write_bytes(other.read_bytes())
    before = image.stat()
    open_dataset(world, cases=(1,))
    decoded.clear()
    bad = bytearray(image.read_bytes())
    bad[-20] ^= 1
    image.write_bytes(bad)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match=r"000000\.png"):
        open_dataset(world, cases=(1,))
    assert decoded == ["test/SEM/000000.png"]


def test_a_bad_image_is_remembered(world: Path, decoded: list[str]) -> None:
    (world / "test/SEM/000003.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    for _ in range(2):
        with pytest.raises(InputError, match=r"000003\.png: truncated"):
            open_dataset(world, cases=(1,))
    assert len(decoded) == 12 + 9 + 5
    assert len(open_dataset(world, cases=(1,), skip_bad=True).test()) == 4


def test_a_file_that_could_not_be_read_is_tried_again(
    world: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = sorted((world / "test/SEM").iterdir())[0]

    def fails(root: Path, file: file_source.File) -> bytes:
        if file.path.endswith(broken.name) and "test" in file.path:
            raise OSError("a passing fault")
        return file_source.read_file(root, file)

    with monkeypatch.context() as patch:
        patch.setattr(decoding.decode_chunk, "__defaults__", (fails,))
        with pytest.raises(InputError, match=r"it cannot be read \(a passing fault\)"):
            open_dataset(world, cases=(1,))
    decoded.clear()
    data = open_dataset(world, cases=(1,))
    assert data.skipped == []
    assert decoded == [f"test/SEM/{broken.name}"]
    np.testing.assert_array_equal(data.test().images[0], np.asarray(Image.open(broken)))
    decoded.clear()
    open_dataset(world, cases=(1,))
    assert decoded == []


def test_the_manifest_names_every_source(world: Path, tmp_path: Path) -> None:
    open_dataset(world, cases=(1,), cache=tmp_path / "cache")
    manifests = sorted((tmp_path / "cache/72x48").glob("*/*.csv"))
    assert [path.parent.name for path in manifests] == [
        "fab-1", "simulator-1-depth", "simulator-1-sem", "test"]  # fmt: skip
    for manifest in manifests:
        with manifest.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        images = np.load(manifest.with_suffix(".npy"))
        assert [int(row["row"]) for row in rows] == list(range(len(images)))
        for row in rows:
            data = (world / row["path"]).read_bytes()
            assert row["sha256"] == hashlib.sha256(data).hexdigest()
            assert int(row["size"]) == len(data)
            assert row["problem"] == ""
            assert row["folder"] in ("", "80", "extra bucket") or row["folder"] in row["path"]
            assert row["base"] in row["path"]


def test_the_data_folder_is_never_written(world: Path) -> None:
    before = sorted((str(path), path.stat().st_mtime_ns) for path in world.rglob("*"))
    for folder in [world, *world.rglob("*")]:
        folder.chmod(folder.stat().st_mode & ~0o222)
    try:
        open_dataset(world, cases=(1,))
        after = sorted((str(path), path.stat().st_mtime_ns) for path in world.rglob("*"))
    finally:
        for folder in [world, *world.rglob("*")]:
            folder.chmod(folder.stat().st_mode | 0o200)
    assert after == before


def test_the_cache_lies_where_it_was_asked_for(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = packing.cache_folder(world, (72, 48), tmp_path / "mine")
    assert asked == tmp_path / "mine/72x48"
    environment = packing.cache_folder(world, (72, 48))
    assert environment.parent.parent == tmp_path / "cache"
    assert environment != packing.cache_folder(tmp_path, (72, 48))
    monkeypatch.delenv("SEMTF_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert packing.cache_folder(world, (72, 48)).parents[1] == tmp_path / "home/.cache/semtf"


def test_a_cache_that_cannot_be_written_is_named(world: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file.*SEMTF_CACHE"):
        open_dataset(world, cases=(1,), cache=tmp_path / "file/cache")


def test_a_lost_array_is_made_again(world: Path, tmp_path: Path) -> None:
    first = open_dataset(world, cases=(1,), cache=tmp_path / "cache")
    wanted = everything(first)
    next((tmp_path / "cache/72x48/fab-1").glob("*.npy")).unlink()
    second = open_dataset(world, cases=(1,), cache=tmp_path / "cache")
    for one, other in zip(wanted, everything(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_workers_decode_what_one_process_decodes(world: Path) -> None:
    (world / "test/SEM/000002.png").write_bytes(b"broken")
    files = FolderSource(world).files("test/SEM") * 200
    task = Task(world, (72, 48))
    with Decoder(task, workers=0) as alone, Decoder(task, workers=2) as helped:
        alone_chunks = list(alone.decode(files))
        helped_chunks = [chunk for _ in range(3) for chunk in helped.decode(files * 3)]
    assert sum(len(chunk.images) for chunk in helped_chunks) == 9 * len(files)
    images = np.concatenate([chunk.images for chunk in alone_chunks])
    np.testing.assert_array_equal(
        np.concatenate([chunk.images for chunk in helped_chunks]), np.tile(images, (9, 1, 1))
    )
    for name in ("digests", "problems"):
        one = [value for chunk in alone_chunks for value in getattr(chunk, name)]
        assert [v for chunk in helped_chunks for v in getattr(chunk, name)] == one * 9
    assert one[:5] == ["", "", "it is no PNG file", "", ""]


def test_a_line_that_a_kill_cut_off_is_decoded_again(
    world: Path, tmp_path: Path, decoded: list[str]
) -> None:
    wanted = everything(open_dataset(world, cases=(1,), cache=tmp_path / "cache"))
    manifest = next((tmp_path / "cache/72x48/test").glob("*.csv"))
    pixels = manifest.with_suffix(".npy")
    images = np.load(pixels)
    images[3:] = 7  # what the killed run had not written
    np.save(pixels.with_suffix(".part.npy"), images)
    lines = manifest.read_text().splitlines(keepends=True)
    assert "000003.png" in lines[4]
    manifest.with_suffix(".part.csv").write_text("".join(lines[:4]) + lines[4][:60])
    manifest.unlink()
    pixels.unlink()
    decoded.clear()
    again = open_dataset(world, cases=(1,), cache=tmp_path / "cache")
    assert decoded == ["test/SEM/000003.png", "test/SEM/000004.png"]
    for one, other in zip(wanted, everything(again), strict=True):
        np.testing.assert_array_equal(one, other)


OPEN = """
import sys
from pathlib import Path
from semtf.data.dataset import open_dataset
open_dataset(sys.argv[1], cases=(1,), cache=Path(sys.argv[2]))
"""


def test_a_killed_run_is_continued(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: Draw, save: Save
) -> None:
    """SIGKILL in the middle of the test images; the next run decodes only the rest."""
    folder, cache = world / "test/SEM", tmp_path / "cache"
    for seed in range(8):
        save(folder / f"a{seed}.png", draw(seed))
    for number in range(30_000):
        os.link(folder / f"a{number % 8}.png", folder / f"b{number:05d}.png")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", OPEN, world, cache], env=environment)
    journal = None
    while process.poll() is None:
        journal = next((cache / "72x48").glob("test/*.part.csv"), None)
        if journal is not None and journal.stat().st_size > 100_000:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before the signal"
    assert journal is not None
    saved = journal.read_text().count("\n") - 1
    assert 500 < saved < 30_013
    asked: list[int] = []
    real = Decoder.decode
    monkeypatch.setattr(
        Decoder, "decode", lambda self, files: asked.append(len(files)) or real(self, files)
    )
    data = open_dataset(world, cases=(1,), cache=cache)
    assert asked == [30_013 - saved]
    assert not list((cache / "72x48").glob("*/*.part.*"))
    names = data.test().names
    rows = np.arange(0, 30_013, 611)
    wanted = {f"a{seed}.png": draw(seed) for seed in range(8)}
    for row in rows[names[rows] >= "a"]:
        source = names[row] if names[row] in wanted else f"a{int(names[row][1:6]) % 8}.png"
        np.testing.assert_array_equal(data.test().images[row], wanted[source])


def test_a_cache_folder_keeps_what_is_not_the_caches(fab: Path, tmp_path: Path) -> None:
    mine = tmp_path / "72x48" / "test"
    (mine / "folder").mkdir(parents=True)
    for name in ("image.png", "table.csv", "array.npy"):
        (mine / name).write_text("mine")
    for _ in range(2):
        open_dataset(fab, cases=[1], cache=tmp_path)
    assert {path.name for path in mine.iterdir()} > {"folder", "image.png", "table.csv"}
    assert (mine / "array.npy").read_text() == "mine"
