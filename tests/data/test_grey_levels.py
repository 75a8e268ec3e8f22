"""What cannot be grey levels is refused, image by image; what can be is not."""

import numpy as np
import pytest

from semtf.data.grey_levels import check_grey_levels
from semtf.errors import InputError
from tests.wrong_scales import GREY, wrong_scales


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", wrong_scales())
def test_floats_on_a_wrong_scale(name: str, kind: type) -> None:
    wrong, message = wrong_scales()[name]
    message = message.replace(r"0\.83137", r"0\.83")  # float16 has three digits
    with pytest.raises(InputError, match=f"image 2 has {message}"):
        check_grey_levels(np.stack([GREY, GREY, wrong, wrong]).astype(kind))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GREY > 100, "images of type bool: give grey levels 0 to 255"),
        (GREY.astype(complex), "images of type complex128"),
        (GREY.astype(object), "images of type object"),
        (GREY.astype(str), "images of type <U"),
        ((GREY * 257).astype(np.uint16), "image 0 has values up to 54484, .*divide by 257"),
        ((GREY * 257).astype(np.int32), "image 0 has values up to 54484"),
        (GREY.astype(np.int16) - 106, "image 0 has values down to -106"),
        ((GREY / 2 - 106).astype(np.int8), "image 0 has values down to -106"),
        (np.where(GREY > 100, np.nan, GREY), "not finite"),
        (np.where(GREY > 100, np.inf, GREY), "not finite"),
    ],
)
def test_other_types(images: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_grey_levels(images[np.newaxis])


def test_grey_levels_of_any_type_pass() -> None:
    for kind in ("u1", "u2", "i2", "i4", "i8", "f2", "f4", "f8", ">f4"):
        check_grey_levels(np.stack([GREY, GREY / 100, GREY * 0 + 255]).astype(kind))
        check_grey_levels(np.zeros((0, 72, 48), kind))
    # Whole numbers may be dark: no image in 0-1 is stored so.
    for kind in ("u1", "u2", "i4"):
        check_grey_levels(np.stack([GREY * 0, GREY > 100]).astype(kind))
