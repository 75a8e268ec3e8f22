"""`tf.data` pipelines over packed arrays: whole batches are gathered, never single images.

The batch of a step is a function of the seed and the step alone. So a pipeline repeats to the
bit, and a training that goes on at step n starts its pipeline there.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.backend.images import each_translated
from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.images import Gray
from semtf.data.network_scale import FULL_SCALE

FOREVER = np.iinfo(np.int64).max
AUGMENTED = 2
"""Sets the random numbers of the augmentation apart from those of the orders, 0 and 1."""
Indices = npt.NDArray[np.int64]
Arrays = tuple[Gray, ...]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of an image; a pair of SEM image and depth map is changed alike.

    Attributes:
        flip_rows: turn one of two images upside down.
        flip_columns: mirror one of two images left to right.
        shift: move by up to so many pixels in both axes, the border repeated.
    """

    flip_rows: bool = False
    flip_columns: bool = False
    shift: int = 0

    def __call__(self, arrays: Arrays, seed: Sequence[int]) -> Arrays:
        """Change uint8 arrays [b, …, rows, columns]; image b of each is changed alike."""
        rng = np.random.default_rng(seed)
        count = len(arrays[0])
        for axis, flip in ((-2, self.flip_rows), (-1, self.flip_columns)):
            if flip:
                turned = rng.random(count) < 0.5
                for array in arrays:
                    array[turned] = np.flip(array[turned], axis)
        if self.shift:
            shifts = rng.integers(-self.shift, self.shift + 1, (count, 2))
            arrays = tuple(each_translated(array, shifts) for array in arrays)
        return arrays


def unpaired(
    simulator: SimulatorSet,
    fab: FabSet,
    *,
    batch: int,
    seed: int,
    augmentation: Augmentation | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """Batches of unrelated simulator and fab images, without end.

    Args:
        simulator: the source domain; the mean of itr0 and itr1 is taken.
        fab: the target domain.
        batch: images a batch.
        seed: of the order; both domains are shuffled afresh, independently, every epoch.
        augmentation: random changes of the images, of both domains independently.
        start: the step to begin with.

    Returns:
        ``(source, target)``, each float32 [batch, rows, columns, 1] in [−1, 1].
    """
    source = _Order(len(simulator), batch, (seed, 0))
    target = _Order(len(fab), batch, (seed, 1))

    def gather(step: int) -> tuple[Gray, Gray]:
        pairs, images = simulator.sem[source(step)], fab.images[target(step)]
        if augmentation:
            (pairs,) = augmentation((pairs,), (seed, AUGMENTED, step, 0))
            (images,) = augmentation((images,), (seed, AUGMENTED, step, 1))
        return pairs, images

    size = simulator.sem.shape[2:]
    shapes = ((batch, 2, *size), (batch, *size))
    return (
        _steps(start, FOREVER)
        .map(lambda step: _both_to_network(*_numpy(gather, step, shapes)), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _both_to_network(pair: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return mean_to_network(pair), to_network(image)


def mean_to_network(pair: tf.Tensor) -> tf.Tensor:
    """``(itr0 + itr1)/212 − 1``: uint8 [b, 2, rows, columns] to float32 [b, rows, columns, 1]."""
    total = tf.cast(pair[:, 0], tf.float32) + tf.cast(pair[:, 1], tf.float32)
    return total[..., tf.newaxis] * (1 / FULL_SCALE) - 1


def to_network(images: tf.Tensor) -> tf.Tensor:
    """``x/212·2 − 1``: uint8 [b, rows, columns] to float32 [b, rows, columns, 1]."""
    return tf.cast(images, tf.float32)[..., tf.newaxis] * (2 / FULL_SCALE) - 1


def to_grey(values: tf.Tensor) -> tf.Tensor:
    """The inverse of `to_network`, not rounded: ``[b, rows, columns, 1]`` to grey levels."""
    return (values[..., 0] + 1) * (FULL_SCALE / 2)


def paired(
    simulator: SimulatorSet,
    *,
    batch: int,
    seed: int,
    shuffle: bool = True,
    repeat: bool = True,
    augmentation: Augmentation | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """Batches of simulator SEM images with their depth maps, on the scale of the networks.

    Returns:
        ``(sem, depth)``, each float32 [batch, rows, columns, 1], both as ``x/212·2 − 1``.
    """
    order = _Order(len(simulator), batch, (seed,), shuffle=shuffle, repeat=repeat)

    def gather(step: int) -> Arrays:
        indices = order(step)
        arrays = simulator.sem[indices], simulator.depth[indices]
        return augmentation(arrays, (seed, AUGMENTED, step)) if augmentation else arrays

    size = simulator.sem.shape[2:]
    length = batch if repeat else None
    shapes = ((length, 2, *size), (length, *size))
    return (
        _steps(start, order.steps)
        .map(lambda step: _both_to_network(*_numpy(gather, step, shapes)), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def labelled(
    images: Gray,
    labels: npt.NDArray[np.integer],
    *,
    batch: int,
    seed: int,
    shuffle: bool = True,
    repeat: bool = True,
    augmentation: Augmentation | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """Batches of images with a class label.

    Args:
        images: uint8 [n, rows, columns].
        labels: integers [n].
        batch: images a batch; without ``repeat`` the last one may be smaller.
        seed: of the order.
        shuffle: another order every epoch; else the order of ``images``.
        repeat: without end; else one epoch, the same every time it is gone through.
        augmentation: random changes of the images.
        start: the step to begin with.

    Returns:
        ``(image, label)``: float32 [batch, rows, columns, 1] in [−1, 1] and int32 [batch].
    """
    classes: npt.NDArray[np.int32] = np.asarray(labels, np.int32)
    order = _Order(len(images), batch, (seed,), shuffle=shuffle, repeat=repeat)

    def gather(step: int) -> tuple[Gray, npt.NDArray[np.int32]]:
        indices = order(step)
        chosen: Arrays = (images[indices],)
        if augmentation:
            chosen = augmentation(chosen, (seed, AUGMENTED, step))
        return chosen[0], classes[indices]

    length = batch if repeat else None
    shapes = ((length, *images.shape[1:]), (length,))

    def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = _numpy(gather, step, shapes, (tf.uint8, tf.int32))
        return to_network(image), label

    return _steps(start, order.steps).map(load, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def split(groups: npt.ArrayLike, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """The mask of the images that are put aside, with their whole groups.

    Groups (bases, sites) are ranked by a hash of seed and name, so a base falls on the same side
    in every case, and new groups leave most others where they were.

    Args:
        groups: str [n], the group of every image.
        fraction: the share of groups to put aside; at least one group is, and one is left,
            where 0 < fraction < 1 and there are two.
        seed: of the choice.
    """
    names, member = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    count = round(fraction * len(names))
    if 0 < fraction < 1 and len(names) > 1:
        count = min(max(count, 1), len(names) - 1)
    hashes = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    aside = np.zeros(len(names), bool)
    aside[sorted(range(len(names)), key=hashes.__getitem__)[:count]] = True
    mask: npt.NDArray[np.bool_] = aside[member]
    return mask


class _Order:
    """The indices of the images in the batch of a step: a new permutation every epoch."""

    def __init__(
        self,
        count: int,
        batch: int,
        seed: tuple[int, ...],
        *,
        shuffle: bool = True,
        repeat: bool = True,
    ) -> None:
        if count < 1 or batch < 1:
            raise ValueError(f"cannot draw batches of {batch} from {count} images")
        self.count, self.batch, self.shuffle, self.repeat = count, batch, shuffle, repeat
        self.steps = FOREVER if repeat else -(-count // batch)
        self._epoch = lru_cache(maxsize=4)(
            lambda epoch: np.random.default_rng((*seed, epoch)).permutation(count)
        )

    def __call__(self, step: int) -> Indices:
        first, last = step * self.batch, (step + 1) * self.batch
        positions = np.arange(first, last if self.repeat else min(last, self.count))
        if not self.shuffle:
            return positions % self.count
        epochs, positions = np.divmod(positions, self.count)
        if epochs[0] == epochs[-1]:
            return self._epoch(int(epochs[0]))[positions]
        return np.array([self._epoch(int(e))[p] for e, p in zip(epochs, positions, strict=True)])


def _steps(start: int, stop: int) -> tf.data.Dataset:
    # With autotuning, the end of an iterator waits for the tuner's next round: up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(start, stop).with_options(options)


def _numpy(
    gather: Callable[[int], tuple[npt.NDArray[np.generic], ...]],
    step: tf.Tensor,
    shapes: Iterable[tuple[int | None, ...]],
    types: tuple[tf.DType, ...] = (tf.uint8, tf.uint8),
) -> list[tf.Tensor]:
    tensors = tf.numpy_function(gather, [step], types)
    return [tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True)]
