"""The storage on disk."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from semtf.errors import InputError
from semtf.retrieval.storage import Storage


def arrays(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    keys, values = generator.integers(0, 213, (2, n, 6, 4)).astype(np.uint8)
    return {"keys": keys, "values": values, "names": np.array([f"b{seed}_{i}" for i in range(n)])}


def test_created_and_opened(tmp_path: Path) -> None:
    given = arrays(5)
    Storage.create(tmp_path / "s", case=3, **given)
    storage = Storage.open(tmp_path / "s")
    for name, array in given.items():
        np.testing.assert_array_equal(getattr(storage, name), array)
    assert (storage.case, len(storage)) == (3, 5)
    assert isinstance(storage.keys, np.memmap)
    assert not list(tmp_path.rglob("*.pkl"))


def resident(path: Path) -> int:
    """Kilobytes of a mapped file that are in this process's memory."""
    maps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    mapped = maps.partition(str(path))[2]
    return int(mapped.partition("Rss:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells it in /proc")
def test_released_pages_leave_the_memory_and_come_back(tmp_path: Path) -> None:
    keys = np.arange(1 << 20, dtype=np.uint8).reshape(64, 128, 128)
    names = np.arange(64).astype(str)
    storage = Storage.create(tmp_path / "s", case=1, keys=keys, values=keys, names=names)
    for file in ("keys.npy", "values.npy"):
        array = getattr(storage, file.removesuffix(".npy"))
        np.testing.assert_array_equal(array, keys)
        assert resident(tmp_path / "s" / file) > 900
    storage.release()
    for file in ("keys.npy", "values.npy"):
        assert resident(tmp_path / "s" / file) < 100
    np.testing.assert_array_equal(storage.keys, keys)


def test_released_where_the_system_has_no_madvise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(mmap, "MADV_DONTNEED", raising=False)
    storage = Storage.create(tmp_path / "s", case=1, **arrays(5))
    storage.release()
    np.testing.assert_array_equal(storage.keys, arrays(5)["keys"])


def test_extended_stands_behind(tmp_path: Path) -> None:
    first, more = arrays(5), arrays(2, 1)
    storage = Storage.create(tmp_path / "a", case=1, **first)
    longer = storage.extended(tmp_path / "b", **more)
    np.testing.assert_array_equal(longer.keys, np.concatenate([first["keys"], more["keys"]]))
    assert longer.names.tolist() == [*first["names"], *more["names"]]
    with pytest.raises(InputError, match="b0_0 is there already"):
        storage.extended(tmp_path / "c", **first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": np.zeros((5, 6, 4), np.float32)}, "uint8"),
        ({"values": np.zeros((4, 6, 4), np.uint8)}, "do not match"),
        ({"names": np.array(["one"])}, "do not match"),
        ({name: array[:0] for name, array in arrays(1).items()}, "no pairs"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Storage.create(tmp_path / "s", case=1, **{**arrays(5), **change})


@pytest.mark.parametrize("damage", ["missing", "cut", "names"])
def test_damaged_folder_is_named(tmp_path: Path, damage: str) -> None:
    Storage.create(tmp_path / "s", case=1, **arrays(5))
    if damage == "missing":
        (tmp_path / "s" / "values.npy").unlink()
    elif damage == "cut":
        path = tmp_path / "s" / "keys.npy"
        path.write_bytes(path.read_bytes()[:-10])
    else:
        (tmp_path / "s" / "names.json").write_text("{}")
    with pytest.raises(InputError, match=str(tmp_path / "s")):
        Storage.open(tmp_path / "s")
