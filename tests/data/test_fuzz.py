"""Mutated files: refused with a reason or decoded to what they were, never a crash."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semtf.data.image_file import decode_image
from semtf.data.image_folder import open_images
from semtf.data.images import BadImageError

SIZE = (72, 48)
Rng = np.random.Generator


def encoded(image: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


LEVELS = np.random.default_rng(1).integers(0, 213, SIZE, dtype=np.uint8)
PNG = [encoded(LEVELS, format="PNG"), encoded(np.repeat(LEVELS[..., None], 3, 2), format="PNG")]
TIFF = [encoded(LEVELS, format="TIFF", compression=name) for name in (None, "tiff_deflate")]


def flip_bits(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 4)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def flip_header(data: bytes, rng: Rng) -> bytes:
    return flip_bits(data[:40], rng) + data[40:]


def cut(data: bytes, rng: Rng) -> bytes:
    return data[: rng.integers(len(data))]


def remove(data: bytes, rng: Rng) -> bytes:
    start, stop = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:start] + data[stop:]


def insert(data: bytes, rng: Rng) -> bytes:
    place = rng.integers(len(data) + 1)
    return data[:place] + rng.bytes(rng.integers(1, 50)) + data[place:]


def append(data: bytes, rng: Rng) -> bytes:
    return data + rng.bytes(rng.integers(1, 500))


def mend_checksums(data: bytes) -> bytes:
    """Give every chunk that can be found the checksum of what it holds now."""
    out, position = bytearray(data), 8
    while position + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, position)
        end = position + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[position + 4 : end]))
        position = end + 4
    return bytes(out)


BLIND: tuple[Callable[[bytes, Rng], bytes], ...] = (
    flip_bits, flip_header, cut, remove, insert, append)  # fmt: skip


def mutate(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [BLIND[i % len(BLIND)](PNG[(i // len(BLIND)) % 2], rng) for i in range(count)]


def outcome(data: bytes, name: str) -> np.ndarray | None:
    try:
        return decode_image(data, name, size=SIZE, range16=(0, 65535))
    except BadImageError:
        return None


def assert_harmless(data: list[bytes]) -> None:
    decoded = [image for image in (outcome(each, "a.png") for each in data) if image is not None]
    for image in decoded:
        np.testing.assert_array_equal(image, LEVELS)
    assert 0.1 * len(data) < len(decoded) < 0.4 * len(data)


def assert_well_formed(data: list[bytes], name: str) -> None:
    decoded = [image for image in (outcome(each, name) for each in data) if image is not None]
    for image in decoded:
        assert image.shape == SIZE
        assert image.dtype == np.uint8
    assert len(decoded) < 0.9 * len(data)


def test_a_mutated_png_is_refused_or_what_it_was() -> None:
    assert_harmless(mutate(3000, seed=0))


def test_a_mutated_png_with_right_checksums_is_refused_or_well_formed() -> None:
    assert_well_formed([mend_checksums(data) for data in mutate(3000, seed=1)], "a.png")


def mutated_tiff(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [BLIND[i % 5](TIFF[(i // 5) % 2], rng) for i in range(count)]


@pytest.mark.filterwarnings("ignore")
def test_a_mutated_tiff_is_refused_or_well_formed() -> None:
    assert_well_formed(mutated_tiff(1000, seed=2), "a.tif")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_more_mutated_files() -> None:
    for seed in range(10, 20):
        data = mutate(10_000, seed)
        assert_harmless(data)
        assert_well_formed([mend_checksums(each) for each in data], "a.png")
        assert_well_formed(mutated_tiff(2000, seed), "a.tif")


@pytest.mark.slow
def test_a_folder_of_mutated_files_is_opened(tmp_path: Path) -> None:
    """Through the worker processes: every file is accounted for, once."""
    for row, data in enumerate([*mutate(2400, seed=3), *PNG]):
        (tmp_path / f"{row:05d}.png").write_bytes(data)
    found = open_images(tmp_path, skip_bad=True)
    assert len(found.images) + len(found.skipped) == 2402
    assert len(found.skipped) > 1400
    names = {Path(skipped.path).name for skipped in found.skipped}
    assert not names & set(found.names)
    for image in found.images:
        np.testing.assert_array_equal(image, LEVELS)
