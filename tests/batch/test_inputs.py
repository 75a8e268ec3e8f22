"""Every kind of input gives the same images under the same names, and bad ones their reason."""

import io
import shutil
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from semtf.batch.inputs import Listing, list_images
from semtf.data.image_folder import open_images
from semtf.errors import InputError

SIZE = (72, 48)


def pixels(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 255, SIZE, np.uint8)


def png(i: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(i)).save(buffer, format="PNG")
    return buffer.getvalue()


IMAGES = {f"{i}.png": png(i) for i in range(7)} | {"3.png": b"no image"}


def write_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in IMAGES.items():
        (folder / name).write_bytes(content)
    return folder


def write_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in IMAGES.items():
            archive.writestr(f"sem/{name}", content)
    return path


def write_parquet(path: Path) -> Path:
    table = pa.table({"name": list(IMAGES), "image": list(IMAGES.values())})
    pq.write_table(table, path, row_group_size=2)
    return path


def write_records(path: Path) -> Path:
    import tensorflow as tf

    def feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, content in IMAGES.items():
            features = {"name": feature(name.encode()), "image": feature(content)}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def decoded(listing: Listing, start: int, stop: int) -> tuple[list[str], np.ndarray, list[str]]:
    parts = listing.cut(start, stop)
    chunks = [part.decoded(SIZE, None) for part in parts]
    names = [name for part in parts for name in part.names]
    problems = [problem for chunk in chunks for problem in chunk.problems]
    return names, np.concatenate([chunk.images for chunk in chunks]), problems


@pytest.mark.parametrize("kind", ["folder", "pattern", "zip", "parquet", "records", "url"])
def test_every_kind_gives_the_same_images(kind: str, tmp_path: Path) -> None:
    write = {"zip": write_zip, "parquet": write_parquet, "records": write_records}
    ending = {"zip": ".zip", "parquet": ".parquet", "records": ".tfrecord"}.get(kind, "")
    place = write.get(kind, write_folder)(tmp_path / f"in{ending}")
    text = {"pattern": f"{place}/*.png", "url": f"file://{place}"}.get(kind, str(place))
    listing = list_images(text)
    assert (listing.names, listing.sites) == (list(IMAGES), None)
    names, images, problems = decoded(listing, 1, 6)
    assert names == list(IMAGES)[1:6]
    assert [bool(problem) for problem in problems] == [False, False, True, False, False]
    for i in (0, 1, 3, 4):
        assert np.array_equal(images[i], pixels(i + 1))
    assert list_images(text).digest == listing.digest


def test_images_behind_an_fsspec_url() -> None:
    system = fsspec.filesystem("memory")
    for name, content in IMAGES.items():
        system.pipe(f"/batch-inputs/site_{int(name[0]) % 2}/{name}", content)
    listing = list_images("memory://batch-inputs")
    assert listing.sites == ["site_0"] * 4 + ["site_1"] * 3
    assert listing.names[:2] == ["site_0/0.png", "site_0/2.png"]
    _, images, problems = decoded(listing, 3, 6)
    assert np.array_equal(images[0], pixels(6))
    assert [bool(problem) for problem in problems] == [False, False, True]
    pattern = list_images("memory://batch-inputs/site_0/*.png")
    assert pattern.names == ["0.png", "2.png", "4.png", "6.png"]


def test_sites_that_lie_in_one_another_stay_together(tmp_path: Path) -> None:
    for name in ("w/a.png", "w/b/1.png", "w/c.png", "v/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(0))
    assert list_images(str(tmp_path)).sites == ["v", "w", "w", "w/b"]


def test_a_folder_of_tables_is_read_in_order(tmp_path: Path) -> None:
    for part in (1, 0):
        table = pa.table({"name": [f"{part}-{i}" for i in range(3)], "image": [png(part)] * 3})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    names, images, problems = decoded(list_images(str(tmp_path)), 2, 5)
    assert names == ["0-2", "1-0", "1-1"]
    assert problems == [""] * 3
    assert np.array_equal(images, np.stack([pixels(i) for i in (0, 1, 1)]))


def test_rows_without_bytes_are_rejected_and_structs_are_read(tmp_path: Path) -> None:
    rows = [{"bytes": png(0), "path": "a"}, {"bytes": None, "path": "b"}, None]
    pq.write_table(pa.table({"name": list("abc"), "image": rows}), tmp_path / "t.parquet")
    _, images, problems = decoded(list_images(str(tmp_path / "t.parquet")), 0, 3)
    assert np.array_equal(images[0], pixels(0))
    assert problems == ["", "the file is empty", "the file is empty"]


def test_files_in_sites_have_the_names_of_a_prediction(tmp_path: Path) -> None:
    for site in ("b", "a"):
        write_folder(tmp_path / site)
    opened = open_images(tmp_path, size=SIZE, skip_bad=True)
    names, _, problems = decoded(list_images(str(tmp_path)), 0, 14)
    assert [n for n, p in zip(names, problems, strict=True) if not p] == opened.names.tolist()


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    before = list_images(str(folder)).digest
    (folder / "0.png").write_bytes(png(9))
    assert list_images(str(folder)).digest != before


def test_inputs_that_are_none(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in")
    pq.write_table(pa.table({"name": ["a", "a"], "image": [b"", b""]}), tmp_path / "twice.parquet")
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes(
        write_parquet(tmp_path / "whole.parquet").read_bytes()[:-9]
    )
    whole = write_records(tmp_path / "whole.tfrecord").read_bytes()
    (tmp_path / "cut.tfrecord").write_bytes(whole[:-9])
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(tmp_path / "whole.parquet", mixed)
    shutil.copy(folder / "0.png", mixed)
    for images, words in {
        "nowhere": "nothing is there",
        f"{folder}/*.tif": "no file matches",
        f"{tmp_path}/none/*.png": "nothing is there",
        f"{tmp_path}/twice.parquet": "a is given twice",
        f"{tmp_path}/other.parquet": "has the columns file",
        f"{tmp_path}/cut.parquet": "cannot be read as Parquet",
        f"{tmp_path}/cut.tfrecord": "cannot be read as TFRecord",
        f"{tmp_path}/empty.tfrecord": "no images lie in it",
        str(mixed): "0.png lies beside whole.parquet",
        "unheard-of://bucket/images": "nothing serves such a URL",
    }.items():
        with pytest.raises(InputError, match=words):
            list_images(images)
