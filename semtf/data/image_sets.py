"""Sets of images that belong together, as arrays that may be memory-mapped."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from semtf.data.images import Gray
from semtf.data.skipped import Skipped

Names = npt.NDArray[np.str_]
Selection = npt.NDArray[np.bool_] | npt.NDArray[np.integer] | slice
"""A mask, indices or a slice, which choose images of a set."""


def name_array(names: Iterable[str]) -> Names:
    """Names as an array ``[n]``."""
    return np.array(list(names), dtype=np.str_)


def selected(mask: npt.NDArray[np.bool_], *arrays: Any) -> tuple[Any, ...]:
    """Each array without what a mask leaves out.

    Where it leaves nothing out, these are the arrays themselves, still memory-mapped.
    """
    return arrays if mask.all() else tuple(array[mask] for array in arrays)


@dataclass(frozen=True)
class SimulatorSet:
    """The simulator's pairs of one case.

    Attributes:
        case: its number.
        sem: uint8 [n, 2, rows, columns], both SEM images of each hole (itr0, itr1).
        depth: uint8 [n, rows, columns], the depth maps.
        bases: str [n], the hole; the same holes recur in every case.
        buckets: str [n], the folder of each.
    """

    case: int
    sem: Gray
    depth: Gray
    bases: Names
    buckets: Names

    def __len__(self) -> int:
        return len(self.sem)

    def subset(self, selection: Selection) -> "SimulatorSet":
        """The pairs that a selection chooses."""
        return SimulatorSet(
            self.case,
            self.sem[selection],
            self.depth[selection],
            self.bases[selection],
            self.buckets[selection],
        )

    def mean_sem(self, selection: Selection = slice(None)) -> npt.NDArray[np.float32]:
        """The mean of itr0 and itr1, float32 [n, rows, columns] in grey levels."""
        pair = self.sem[selection]
        total = pair[:, 0].astype(np.float32) + pair[:, 1]
        return total * np.float32(0.5)


@dataclass(frozen=True)
class FabSet:
    """The fab's images of one case: uint8 [n, rows, columns], with their site and file name."""

    case: int
    images: Gray
    sites: Names
    names: Names

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, selection: Selection) -> "FabSet":
        """The images that a selection chooses."""
        return FabSet(
            self.case, self.images[selection], self.sites[selection], self.names[selection]
        )


@dataclass(frozen=True)
class ImageSet:
    """Images of a plain folder.

    Attributes:
        images: uint8 [n, rows, columns].
        names: str [n], their file names, ``site/name`` where they lie in site folders.
        skipped: files that were left out.
        sites: str [n], the site folder of each; None where they lie in one folder.
    """

    images: Gray
    names: Names
    skipped: list[Skipped] = field(default_factory=list)
    sites: Names | None = None

    def __len__(self) -> int:
        return len(self.images)

    def as_fab(self, case: int) -> FabSet:
        """The images as a case's fab images; each is a site of its own where no site is known."""
        sites = self.names if self.sites is None else self.sites
        return FabSet(case, self.images, sites, self.names)

    def subset(self, selection: Selection) -> "ImageSet":
        """The images that a selection chooses."""
        sites = None if self.sites is None else self.sites[selection]
        return ImageSet(self.images[selection], self.names[selection], self.skipped, sites)
