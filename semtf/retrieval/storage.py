"""The storage of one case: adapted SEM keys and the depth values that belong to them, on disk."""

import json
import mmap
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.errors import InputError
from semtf.formats import migrated, stamped
from semtf.json_fields import parse_json

NAMES = "names.json"
MEASUREMENT = re.compile(r"(.*M\d+-\d+MS)_\d+")
"""Bases of the challenge: holes of one measurement differ in their last number."""


@dataclass(frozen=True)
class Storage:
    """Keys (adapted SEM images) and values (depth maps) of the pairs of one case.

    Attributes:
        keys: uint8 grey levels ``[n, H, W]``; memory-mapped when opened from disk.
        values: uint8 depth levels ``[n, H, W]``, smaller is deeper; memory-mapped likewise.
        names: ``[n]`` strings, the base of each pair.
        case: the number of the case that the pairs belong to.
    """

    keys: np.ndarray
    values: np.ndarray
    names: np.ndarray
    case: int

    def __post_init__(self) -> None:
        for label, images in (("keys", self.keys), ("values", self.values)):
            if images.dtype != np.uint8 or images.ndim != 3:
                raise InputError(
                    f"storage {label}: expected uint8 [n, H, W], got {images.dtype} "
                    f"{list(images.shape)}; round to grey levels first"
                )
        if self.keys.shape != self.values.shape or len(self.names) != len(self.keys):
            raise InputError(
                f"storage of case {self.case}: {list(self.keys.shape)} keys, "
                f"{list(self.values.shape)} values and {len(self.names)} names do not match; "
                "give one value and one name for each key"
            )
        if len(self.keys) == 0:
            raise InputError(f"storage of case {self.case}: no pairs; add simulator pairs")

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        case: int,
        keys: np.ndarray,
        values: np.ndarray,
        names: np.ndarray,
    ) -> "Storage":
        """Write a storage folder and open it.

        The folder holds ``keys.npy``, ``values.npy`` and ``names.json``; nothing is pickled.
        Raises InputError where the arrays do not fit together.
        """
        storage = cls(keys, values, np.asarray(names, dtype=str), case)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "keys.npy", storage.keys, allow_pickle=False)
        np.save(folder / "values.npy", storage.values, allow_pickle=False)
        document = stamped("storage", {"case": case, "names": storage.names.tolist()})
        text = json.dumps(document, indent=0)
        (folder / NAMES).write_text(text + "\n", encoding="utf-8")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> "Storage":
        """Open a storage folder, memory-mapped; raises InputError where it is none."""
        folder = Path(folder)
        try:
            keys = np.load(folder / "keys.npy", mmap_mode="r", allow_pickle=False)
            values = np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False)
            document = parse_json((folder / NAMES).read_text(encoding="utf-8"))
            head = migrated("storage", document, str(folder / NAMES))
            names, case = np.asarray(head["names"], dtype=str), int(head["case"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder}: not a storage folder ({error}); train the run again"
            ) from error
        return cls(keys, values, names, case)

    @cached_property
    def measurements(self) -> tuple[npt.NDArray[np.intp], int]:
        """The number of each pair's measurement ``[n]``, and how many pairs one has at most."""
        return measurements(self.names)

    def release(self) -> None:
        """Give back the memory of what was read of the files, which are read again where needed.

        Systems without ``madvise``, such as Windows, decide on that memory themselves.
        """
        for images in (self.keys, self.values):
            if isinstance(images.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                images.base.madvise(mmap.MADV_DONTNEED)

    def extended(
        self, folder: str | Path, *, keys: np.ndarray, values: np.ndarray, names: np.ndarray
    ) -> "Storage":
        """Write this storage with more pairs behind its own into ``folder``, and open it.

        Raises InputError on a name that is already stored or given twice.
        """
        names = np.asarray(names, dtype=str)
        unique, counts = np.unique(np.concatenate([self.names, names]), return_counts=True)
        if np.any(counts > 1):
            raise InputError(
                f"storage of case {self.case}: pair {unique[counts > 1][0]} is there already; "
                "leave it out of the pairs to add"
            )
        return self.create(
            folder,
            case=self.case,
            keys=np.concatenate([self.keys, keys]),
            values=np.concatenate([self.values, values]),
            names=np.concatenate([self.names, names]),
        )


def measurements(names: npt.NDArray[np.str_]) -> tuple[npt.NDArray[np.intp], int]:
    """The number of each base's measurement ``[n]``, and how many bases one has at most."""
    found = [match[1] if (match := MEASUREMENT.fullmatch(name)) else name for name in names]
    _, number, counts = np.unique(found, return_inverse=True, return_counts=True)
    return number, int(counts.max())
