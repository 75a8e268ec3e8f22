"""What a prediction takes for images: arrays, files, streams."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semtf.data.endings import IMAGES
from semtf.data.image_file import decode_image
from semtf.data.image_folder import open_images
from semtf.data.images import BadImageError, Size, check_bytes
from semtf.errors import InputError


class Inputs(NamedTuple):
    """Images ``[n, H, W]``, and their names where they come from files."""

    images: npt.NDArray[Any]
    names: list[str] | None = None


def read_inputs(images: Any, size: Size) -> Inputs:
    """Images from whatever a caller has.

    Args:
        images: an array or tensor ``[n, H, W]``, ``[n, H, W, 1]`` or of one image; the path of a
            folder, a zip file or an image; a list of paths; or a list, generator or
            `tf.data.Dataset` of images or of batches (the first element counts of tuples).
        size: ``(H, W)`` of an image.

    Raises:
        InputError: another shape, or a file that is no usable image.
    """
    if isinstance(images, (str, Path)):
        return _from_path(Path(images).expanduser(), size)
    if hasattr(images, "shape") and hasattr(images, "dtype"):
        return Inputs(_stack(images, size))
    if not isinstance(images, Iterable):
        raise InputError(f"images: {type(images).__name__} holds no images; give an array or files")
    items = list(images)
    if items and all(isinstance(item, (str, Path)) for item in items):
        paths = [Path(item).expanduser() for item in items]
        return Inputs(np.stack([_read(path, size) for path in paths]), _names(paths))
    stacks = [_stack(item[0] if isinstance(item, tuple) else item, size) for item in items]
    return Inputs(np.concatenate(stacks) if stacks else np.zeros((0, *size), np.uint8))


def _from_path(path: Path, size: Size) -> Inputs:
    if path.is_file() and path.suffix.lower() in IMAGES:
        return Inputs(_read(path, size)[None], [path.name])
    opened = open_images(path, size=size)
    return Inputs(opened.images, opened.names.tolist())


def _read(path: Path, size: Size) -> npt.NDArray[np.uint8]:
    try:
        check_bytes(path.stat().st_size, size)
        return decode_image(path.read_bytes(), path.name, size=size)
    except (BadImageError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: {reason}") from error


def _names(paths: list[Path]) -> list[str]:
    """File names; with their folder where two are the same."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}/{path.name}" for path in paths]
    return names


def _stack(images: Any, size: Size) -> npt.NDArray[Any]:
    """One image or a batch as ``[n, H, W]``; a last axis of one channel is dropped."""
    array = np.asarray(images)
    if array.ndim in (3, 4) and array.shape[-1] == 1 and array.shape[-3:-1] == tuple(size):
        array = array[..., 0]
    if array.shape == tuple(size):
        array = array[None]
    if array.ndim != 3 or array.shape[1:] != tuple(size):
        hint = " (transposed?)" if array.ndim == 3 and array.shape[1:] == size[::-1] else ""
        raise InputError(
            f"images of shape {list(array.shape)}: this run takes [n, {size[0]}, {size[1]}] "
            f"grey levels (rows, columns){hint}"
        )
    return array
