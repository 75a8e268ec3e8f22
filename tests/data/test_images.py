import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from semtf.data.image_file import decode_image
from semtf.data.images import BadImageError, check_bytes
from semtf.data.network_scale import from_network, to_network
from semtf.data.png import SIGNATURE, decode_png, read_png, write_png
from semtf.errors import InputError

SIZE = (72, 48)
LEVELS = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
RGB = np.repeat(LEVELS[..., None], 3, axis=2)


def png(image: Image.Image | np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + header + b"".join(more) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("pixels", [LEVELS, RGB], ids=["grey", "equal channels"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"compress_level": 0}])
def test_grey_levels_survive_decoding(pixels: np.ndarray, options: dict[str, object]) -> None:
    decoded = decode_png(png(pixels, **options), SIZE)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, LEVELS)


def test_a_gamma_and_text_chunk_change_nothing() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add_text("made", "by a microscope", zip=True)
    np.testing.assert_array_equal(decode_png(png(LEVELS, pnginfo=info), SIZE), LEVELS)


def filtered(pixels: np.ndarray, kind: int, each: int) -> bytes:
    """Rows with one of the five filters of the PNG specification, computed the slow way."""
    out = bytearray()
    above = [0] * len(pixels[0].tobytes())
    for row in (list(line.tobytes()) for line in pixels):
        out.append(kind)
        for x, value in enumerate(row):
            a, b = (row[x - each] if x >= each else 0), above[x]
            c = above[x - each] if x >= each else 0
            estimate = a + b - c
            paeth = min((a, b, c), key=lambda near: abs(estimate - near))
            out.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
        above = row
    return bytes(out)


@pytest.mark.parametrize("kind", range(5))
def test_every_row_filter_is_undone(kind: int) -> None:
    grey = raw_png(48, 72, 8, 0, filtered(LEVELS, kind, 1))
    colour = raw_png(48, 72, 8, 2, filtered(RGB, kind, 3))
    for data in (grey, colour):
        np.testing.assert_array_equal(decode_png(data, SIZE), LEVELS)
    deep = LEVELS.astype(np.uint16) * 129 + 7
    data = raw_png(48, 72, 16, 0, filtered(deep.astype(">u2"), kind, 2))
    np.testing.assert_array_equal(decode_png(data, SIZE, sixteen=True), deep)


@pytest.mark.parametrize("each", [1, 2, 3])
def test_an_interlaced_image_passes(each: int) -> None:
    """Adam7, written pass by pass from the table of the specification (no filter)."""
    deep = LEVELS.astype(np.uint16) * 129 + 7
    pixels = {1: LEVELS, 2: deep.astype(">u2"), 3: RGB}[each]
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b"".join(
        b"\0" + line.tobytes()
        for row, column, down, right in [*starts, (1, 0, 2, 1)]
        for line in pixels[row::down, column::right]
    )
    fields = (48, 72, 16 if each == 2 else 8, 2 if each == 3 else 0, 0, 0, 1)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    decoded = decode_png(SIGNATURE + header + data, SIZE, sixteen=True)
    np.testing.assert_array_equal(decoded, deep if each == 2 else LEVELS)


def different_channels() -> np.ndarray:
    pixels = RGB.copy()
    pixels[40, 20, 2] ^= 1
    return pixels


def palette(levels: Iterable[int]) -> Image.Image:
    """The indices ``LEVELS`` with a palette of grey levels."""
    image = Image.new("P", (48, 72))
    image.putdata(LEVELS.ravel().tolist())
    image.putpalette([level for level in levels for _ in "RGB"])
    return image


def clear(image: Image.Image) -> Image.Image:
    """An image with one pixel that is not opaque."""
    changed = image.copy()
    changed.putpixel((3, 4), (*image.getpixel((3, 4))[:-1], 254))
    return changed


GREY = Image.fromarray(LEVELS)
WHOLE = png(LEVELS)
DAMAGED = bytearray(WHOLE)
DAMAGED[len(WHOLE) // 2] ^= 4
JPEG = io.BytesIO()
GREY.save(JPEG, "JPEG")
REFUSED = {
    "different channels": (png(different_channels()), "channels differ"),
    "inverted palette": (png(palette(range(255, -1, -1))), "palette"),
    "colour palette": (png(GREY.convert("RGB").quantize()), "palette"),
    "transparent palette": (png(palette(range(256)), transparency=3), "transparent"),
    "grey and alpha": (png(clear(GREY.convert("LA"))), "transparent"),
    "colour and alpha": (png(clear(GREY.convert("RGBA"))), "transparent"),
    "transparent grey": (png(GREY, transparency=3), "transparent"),
    "16 bits": (png(LEVELS.astype(np.uint16) * 257), "16 bits"),
    "1 bit": (png(GREY.convert("1")), "1 bits"),
    "transposed": (png(LEVELS.T), "48 x 72 (rows x columns), expected 72 x 48 (transposed?)"),
    "other size": (png(LEVELS[:-1]), "71 x 48"),
    "zero size": (raw_png(0, 0, 8, 0, b""), "0 x 0"),
    "bomb": (raw_png(50_000, 50_000, 8, 0, b"\0" * 1000), "50000 x 50000"),
    "JPEG": (JPEG.getvalue(), "JPEG"),
    "text": (b"no image at all", "no PNG"),
    "nothing": (b"", "no PNG"),
    "signature only": (WHOLE[:8], "truncated"),
    "half": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "without its last byte": (WHOLE[:-1], "truncated"),
    "a flipped bit": (bytes(DAMAGED), "checksum"),
    "too few rows": (raw_png(48, 72, 8, 0, b"\0" * 49 * 71), "not as long"),
    "too many rows": (raw_png(48, 72, 8, 0, b"\0" * 49 * 73), "not as long"),
    "an unknown filter": (raw_png(48, 72, 8, 0, b"\7" * 49 * 72), "cannot be decoded"),
    "no data": (SIGNATURE + WHOLE[8:33] + chunk(b"IEND", b""), "no image data"),
    "two headers": (raw_png(48, 72, 8, 0, b"\0" * 49 * 72, WHOLE[8:33]), "no place"),
    "animation": (raw_png(48, 72, 8, 0, b"\0" * 49 * 72, chunk(b"acTL", b"\0" * 8)), "animation"),
    "unknown colour": (raw_png(48, 72, 8, 5, b"\0" * 49 * 72), "colour type 5"),
}


@pytest.mark.parametrize("encode", [png, lambda image: tiff(image)], ids=["png", "tif"])
def test_a_palette_or_alpha_that_changes_nothing_is_grey(
    encode: Callable[[Image.Image], bytes], request: pytest.FixtureRequest
) -> None:
    name = "a." + request.node.callspec.id
    for image in (palette(range(256)), GREY.convert("LA"), GREY.convert("RGBA")):
        np.testing.assert_array_equal(decode_image(encode(image), name, size=SIZE), LEVELS)


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_the_grey_policy_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError) as found:
        decode_png(data, SIZE)
    assert reason in str(found.value)


def test_empty_and_oversized_files_are_refused() -> None:
    for length in (0, 2_000_000):
        with pytest.raises(BadImageError, match=r"empty|too many"):
            check_bytes(length, SIZE)
    check_bytes(4000, SIZE)
    check_bytes(2_000_000, (1024, 1024))  # 16 bits, hardly compressed


def test_write_and_read_give_the_same_levels(tmp_path: Path) -> None:
    write_png(tmp_path / "map.png", LEVELS)
    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "L"
    np.testing.assert_array_equal(read_png(tmp_path / "map.png", SIZE), LEVELS)


def test_write_takes_only_grey_bytes(tmp_path: Path) -> None:
    for wrong in (LEVELS.astype(np.float32), RGB):
        with pytest.raises(ValueError, match="uint8"):
            write_png(tmp_path / "map.png", wrong)


def test_reading_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(WHOLE[:100])
    for name in ("broken.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_png(tmp_path / name, SIZE)


def test_network_scale_and_its_inverse() -> None:
    levels = np.arange(256, dtype=np.uint8)
    values = to_network(levels)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[[0, 106, 212]], [-1, 0, 1], atol=1e-6)
    np.testing.assert_array_equal(from_network(values), levels)
    assert from_network([-2.0, -1.001, 1.5, -1 + 2 * 10.4 / 212]).tolist() == [0, 0, 255, 10]


def tiff(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "TIFF", **options)
    return stream.getvalue()


DEEP_COLOUR = io.BytesIO()
tifffile.imwrite(DEEP_COLOUR, RGB.astype(np.uint16) * 16, photometric="rgb")


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw"])
def test_tiff_of_8_bits(compression: str | None) -> None:
    for image in (GREY, Image.fromarray(RGB)):
        data = tiff(image, compression=compression)
        np.testing.assert_array_equal(decode_image(data, "a.tif", size=SIZE), LEVELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_as_zero_is_inverted(dtype: type) -> None:
    stream = io.BytesIO()
    most = np.iinfo(dtype).max
    tifffile.imwrite(stream, most - LEVELS.astype(dtype) * (most // 255), photometric="miniswhite")
    found = decode_image(stream.getvalue(), "a.tif", size=SIZE, range16=(0, 65535))
    np.testing.assert_array_equal(found, LEVELS)


@pytest.mark.parametrize(("encode", "name"), [(png, "a.png"), (tiff, "a.TIFF")])
def test_16_bits_need_a_range(encode: Callable[[Image.Image], bytes], name: str) -> None:
    values = np.linspace(0, 4000, 72 * 48).reshape(SIZE).astype(np.uint16)
    data = encode(Image.fromarray(values))
    with pytest.raises(BadImageError, match="range"):
        decode_image(data, name, size=SIZE)
    found = decode_image(data, name, size=SIZE, range16=(1000, 3000))
    wanted = np.clip(np.round((values.astype(float) - 1000) / 2000 * 255), 0, 255)
    assert np.abs(found - wanted).max() <= 1  # a half may be rounded either way
    assert (found != wanted).mean() < 0.01
    assert found[values <= 1000].max() == 0
    assert found[values >= 3000].min() == 255


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(GREY, save_all=True, append_images=[GREY]), "several pages"),
        (tiff(clear(GREY.convert("RGBA"))), "transparent"),
        (tiff(palette(range(255, -1, -1))), "palette"),
        (tiff(Image.fromarray(LEVELS.astype(np.float32) / 255)), r"format F; .*0-1 times 255"),
        (tiff(Image.fromarray(LEVELS.astype(np.int32))), "format I; .*--range16"),
        (tiff(Image.fromarray(LEVELS > 100)), "pixel format 1"),
        (tiff(GREY, tiffinfo={339: 2}), "signed samples"),
        (tiff(GREY, compression="jpeg"), "compressed as JPEG or WebP"),
        (tiff(GREY, tiffinfo={339: 3}), "another pixel format; save it as 8-bit grey levels"),
        (DEEP_COLOUR.getvalue(), "16 bits in colour"),
        (tiff(Image.fromarray(LEVELS.T)), "transposed"),
        (tiff(Image.fromarray(different_channels())), "channels differ"),
        (tiff(GREY)[:200], "TIFF"),
        (WHOLE, "TIFF"),
    ],
)
def test_other_tiff_files_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        decode_image(data, "a.tif", size=SIZE)
