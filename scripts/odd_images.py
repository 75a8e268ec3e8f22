"""Images that no run was trained for, made from images that it was: what a microscope may send."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Images = npt.NDArray[np.uint8]


def twice(images: Images, axis: int) -> Images:
    """Every image twice in one, each half as large along an axis."""
    halves = images[:, ::2] if axis == 1 else images[:, :, ::2]
    return np.concatenate([halves, halves], axis=axis)[:, : images.shape[1], : images.shape[2]]


def magnified(images: Images) -> Images:
    """The middle of each image, twice as large."""
    rows, columns = images.shape[1:]
    inner = images[:, rows // 4 : rows // 4 + rows // 2, columns // 4 : columns // 4 + columns // 2]
    return inner.repeat(2, axis=1).repeat(2, axis=2)


def shifted(images: Images) -> Images:
    """Each image moved by half its width; the edge goes on where nothing is left."""
    half = images.shape[2] // 2
    return np.concatenate([images[:, :, half:], images[:, :, -1:].repeat(half, axis=2)], axis=2)


def rotated(images: Images) -> Images:
    """Each image turned by 45 degrees."""
    turned = ndimage.rotate(images, 45, axes=(2, 1), reshape=False, order=1, mode="nearest")
    return np.asarray(turned, np.uint8)


def lines(images: Images) -> Images:
    """Lines and spaces as wide as six pixels."""
    columns = np.where(np.arange(images.shape[2]) // 6 % 2, 160, 40).astype(np.uint8)
    return np.broadcast_to(columns, images.shape).copy()


def noise(images: Images) -> Images:
    """Grey levels without anything in them, as bright as the images at most."""
    return np.random.default_rng(0).integers(0, 213, images.shape, np.uint8)


ODD: dict[str, Callable[[Images], Images]] = {
    "all black": lambda images: np.zeros_like(images),
    "all plate": lambda images: np.full_like(images, 160),
    "saturated": lambda images: np.clip(images * 2.5, 0, 255).astype(np.uint8),
    "inverted": lambda images: 212 - np.minimum(images, 212),
    "rotated by 45 degrees": rotated,
    "lines": lines,
    "noise": noise,
    "two holes": lambda images: twice(images, 2),
    "half a hole": shifted,
    "a hole twice as large": magnified,
}
