"""Whatever a caller has for images becomes the same array, or is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.data.png import write_png
from semtf.errors import InputError
from semtf.estimation.inputs import read_inputs

SIZE = (24, 16)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SIZE), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, image in enumerate(IMAGES):
        write_png(tmp_path / f"{i}.png", image)
    return tmp_path


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES[..., None],
        list(IMAGES),
        tf.constant(IMAGES),
        tf.data.Dataset.from_tensor_slices(IMAGES).batch(2),
        tf.data.Dataset.from_tensor_slices((IMAGES[..., None], [0, 1, 2])),
    ],
    ids=["array", "one channel", "list", "tensor", "batches", "pairs"],
)
def test_arrays_and_streams(images: object) -> None:
    found = read_inputs(images, SIZE)
    np.testing.assert_array_equal(found.images, IMAGES)
    assert found.names is None


def test_generators_and_single_images() -> None:
    np.testing.assert_array_equal(read_inputs((i for i in IMAGES), SIZE).images, IMAGES)
    for one in (IMAGES[0], IMAGES[0][..., None], IMAGES[:1]):
        np.testing.assert_array_equal(read_inputs(one, SIZE).images, IMAGES[:1])
    assert read_inputs([], SIZE).images.shape == (0, *SIZE)


def test_files(folder: Path) -> None:
    archive = folder / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(3):
            file.write(folder / f"{i}.png", f"{i}.png")
    paths = sorted(folder.glob("*.png"))
    for images in (folder, str(folder), archive, paths, [str(path) for path in paths]):
        found = read_inputs(images, SIZE)
        np.testing.assert_array_equal(found.images, IMAGES)
        assert found.names == ["0.png", "1.png", "2.png"]
    assert read_inputs(paths[1], SIZE).names == ["1.png"]
    (folder / "a").mkdir()
    same = paths[0].rename(folder / "a/1.png")
    assert read_inputs([same, paths[1]], SIZE).names == ["a/1.png", f"{folder.name}/1.png"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.transpose(0, 2, 1), "transposed"),
        (IMAGES[0, 0], r"shape \[16\]"),
        ([IMAGES[0], IMAGES[0].T], r"shape \[16, 24\]"),
        (7, "int holds no images"),
        ("nowhere", "no such folder"),
        (["nowhere.png"], "nowhere.png: No such file"),
    ],
)
def test_what_is_refused(images: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_inputs(images, SIZE)
