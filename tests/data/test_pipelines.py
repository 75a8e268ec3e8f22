from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from semtf.data.image_sets import FabSet, SimulatorSet
from semtf.data.network_scale import from_network, to_network
from semtf.data.pipelines import Augmentation, labelled, paired, split, unpaired

RNG = np.random.default_rng(7)
N, M = 10, 7


def simulator() -> SimulatorSet:
    """Pairs in which the first pixel of itr0 and of the depth map is the number of the pair."""
    sem = RNG.integers(0, 213, (N, 2, 72, 48), dtype=np.uint8)
    depth = RNG.integers(0, 151, (N, 72, 48), dtype=np.uint8)
    sem[:, 0, 0, 0] = sem[:, 1, 0, 0] = depth[:, 0, 0] = np.arange(N)
    return SimulatorSet(1, sem, depth, np.array([f"b{i}" for i in range(N)]), np.array(["80"] * N))


def fab() -> FabSet:
    pixels = RNG.integers(0, 213, (M, 72, 48), dtype=np.uint8)
    pixels[:, 0, 0] = np.arange(M)
    return FabSet(1, pixels, np.array(["s"] * M), np.array([f"{i}.png" for i in range(M)]))


def take(dataset: tf.data.Dataset, count: int) -> list[tuple[np.ndarray, ...]]:
    return [tuple(part.numpy() for part in batch) for batch in islice(dataset, count)]


def first_pixel(batch: np.ndarray) -> list[int]:
    return np.rint((batch[:, 0, 0, 0] + 1) * 106).astype(int).tolist()


def test_unpaired_batches_hold_the_images_on_the_scale_of_the_networks() -> None:
    source_set, target_set = simulator(), fab()
    source, target = take(unpaired(source_set, target_set, batch=4, seed=1), 1)[0]
    assert source.shape == target.shape == (4, 72, 48, 1)
    assert source.dtype == target.dtype == np.float32
    sums = source_set.sem[first_pixel(source)].astype(float).sum(axis=1)
    np.testing.assert_allclose(source[..., 0], sums / 212 - 1, atol=1e-6)
    np.testing.assert_allclose(
        target[..., 0], to_network(target_set.images[first_pixel(target)]), atol=1e-6
    )


def test_every_epoch_holds_every_image_once_in_a_new_order() -> None:
    batches = take(unpaired(simulator(), fab(), batch=5, seed=3), 2 * N * M // 5)
    for domain, count in ((0, N), (1, M)):
        drawn = np.concatenate([first_pixel(batch[domain]) for batch in batches])
        epochs = drawn.reshape(-1, count)
        for epoch in epochs:
            assert sorted(epoch) == list(range(count))
        assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2


def test_the_two_domains_are_shuffled_independently() -> None:
    pairs = simulator()
    same = FabSet(1, pairs.depth, pairs.bases, pairs.bases)
    batches = take(unpaired(pairs, same, batch=N, seed=0), 5)
    assert all(first_pixel(source) != first_pixel(target) for source, target in batches)


def test_a_seed_repeats_and_a_start_continues() -> None:
    pairs, crops = simulator(), fab()
    whole = take(unpaired(pairs, crops, batch=4, seed=5), 9)
    again = take(unpaired(pairs, crops, batch=4, seed=5), 9)
    rest = take(unpaired(pairs, crops, batch=4, seed=5, start=6), 3)
    other = take(unpaired(pairs, crops, batch=4, seed=6), 9)
    for one, two in zip([*whole, *whole[6:]], [*again, *rest], strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    assert any(not np.array_equal(one[0], two[0]) for one, two in zip(whole, other, strict=True))


def test_paired_batches_keep_pairs_together() -> None:
    pairs = simulator()
    for sem, depth in take(paired(pairs, batch=3, seed=0), 7):
        assert first_pixel(sem) == first_pixel(depth)
        np.testing.assert_allclose(
            depth[..., 0], to_network(pairs.depth[first_pixel(depth)]), atol=1e-6
        )


def test_labelled_batches_and_one_epoch_in_order() -> None:
    crops = fab()
    labels = np.arange(M) * 11
    batches = take(labelled(crops.images, labels, batch=3, seed=0), 5)
    for image, label in batches:
        assert image.shape == (3, 72, 48, 1)
        assert label.dtype == np.int32
        assert [11 * row for row in first_pixel(image)] == label.tolist()
    once = labelled(crops.images, labels, batch=3, seed=0, shuffle=False, repeat=False)
    found = list(once.as_numpy_iterator())
    assert [len(label) for _, label in found] == [3, 3, 1]
    assert np.concatenate([label for _, label in found]).tolist() == labels.tolist()
    shuffled = labelled(crops.images, labels, batch=3, seed=0, repeat=False)
    drawn = np.concatenate([label for _, label in shuffled.as_numpy_iterator()])
    assert sorted(drawn) == labels.tolist()
    assert drawn.tolist() != labels.tolist()


def test_batches_may_be_larger_than_the_set() -> None:
    source, target = take(unpaired(simulator(), fab(), batch=25, seed=0), 1)[0]
    assert np.bincount(first_pixel(source)).tolist().count(3) == 5
    assert min(np.bincount(first_pixel(target))) >= 3


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 images"):
        paired(simulator().subset(slice(0, 0)), batch=4, seed=0)


def test_batches_are_drawn_from_a_memory_map(tmp_path: Path) -> None:
    crops = fab()
    np.save(tmp_path / "images.npy", crops.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    labels = np.arange(M)
    one = take(labelled(crops.images, labels, batch=4, seed=2), 3)
    two = take(labelled(mapped, labels, batch=4, seed=2), 3)
    for (image, _), (other, _) in zip(one, two, strict=True):
        np.testing.assert_array_equal(image, other)


def test_a_distributed_strategy_takes_the_batches() -> None:
    strategy = tf.distribute.get_strategy()
    dataset = strategy.experimental_distribute_dataset(paired(simulator(), batch=4, seed=0))
    sem, depth = next(iter(dataset))
    assert sem.shape == depth.shape == (4, 72, 48, 1)


def one_image() -> np.ndarray:
    rows, columns = np.mgrid[:72, :48]
    return (2 * rows + columns).astype(np.uint8)[None]


def test_flips_give_all_four_images_and_no_other() -> None:
    image = one_image()
    flips = Augmentation(flip_rows=True, flip_columns=True)
    batches = take(labelled(image, np.zeros(1), batch=64, seed=0, augmentation=flips), 1)
    found = {tuple(from_network(drawn[..., 0]).ravel()) for drawn in batches[0][0]}
    wanted = {tuple(image[0, ::r, ::c].ravel()) for r in (1, -1) for c in (1, -1)}
    assert found == wanted


def test_shifts_repeat_the_border() -> None:
    image = one_image()
    shifts = Augmentation(shift=2)
    batches = take(labelled(image, np.zeros(1), batch=256, seed=0, augmentation=shifts), 1)
    found = {tuple(from_network(drawn[..., 0]).ravel()) for drawn in batches[0][0]}
    padded = np.pad(image[0], 2, mode="edge")
    wanted = {
        tuple(padded[2 - r : 74 - r, 2 - c : 50 - c].ravel())
        for r in range(-2, 3)
        for c in range(-2, 3)
    }
    assert found == wanted


def test_pairs_are_augmented_alike() -> None:
    pairs = simulator()
    alike = SimulatorSet(1, np.stack([pairs.depth] * 2, 1), pairs.depth, pairs.bases, pairs.buckets)
    augmentation = Augmentation(flip_rows=True, flip_columns=True, shift=3)
    for sem, depth in take(paired(alike, batch=8, seed=0, augmentation=augmentation), 4):
        np.testing.assert_allclose(sem, depth, atol=1e-6)


def test_no_group_crosses_a_split() -> None:
    groups = np.array([f"site_{i % 37:05d}" for i in range(1000)])
    aside = split(groups, 0.2, seed=4)
    assert not set(groups[aside]) & set(groups[~aside])
    assert len(set(groups[aside])) == 7  # 0.2 of 37
    np.testing.assert_array_equal(aside, split(groups, 0.2, seed=4))
    assert (aside != split(groups, 0.2, seed=5)).any()
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(split(groups[order], 0.2, seed=4), aside[order])


def test_the_same_holes_are_put_aside_in_every_case() -> None:
    bases = np.array([f"hole_{i}" for i in range(200)])
    first = set(bases[split(bases, 0.1, seed=0)])
    assert set(bases[::-1][split(bases[::-1], 0.1, seed=0)]) == first
    more = np.array([*bases, "hole_new"])
    assert len(first & set(more[split(more, 0.1, seed=0)])) >= len(first) - 1


@pytest.mark.parametrize(
    ("groups", "fraction", "count"),
    [("ab", 0.01, 1), ("ab", 0.99, 1), ("a", 0.5, 0), ("abcd", 0.0, 0), ("abcd", 1.0, 4)],
)
def test_a_small_split_leaves_both_sides_something(
    groups: str, fraction: float, count: int
) -> None:
    assert split(list(groups), fraction, seed=0).sum() == count
