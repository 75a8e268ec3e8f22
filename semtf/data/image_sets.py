"""Sets of images that belong together, as arrays that may be memory-mapped."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from semtf.data.images import Gray
from semtf.data.layout import Skipped

Names = npt.NDArray[np.str_]
Rows = npt.NDArray[np.bool_] | npt.NDArray[np.integer] | slice


@dataclass(frozen=True)
class SimulatorSet:
    """The simulator's pairs of one case.

    Attributes:
        case: 1 to 4.
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

    def subset(self, rows: Rows) -> "SimulatorSet":
        """The pairs chosen by a mask, by row numbers or by a slice."""
        return SimulatorSet(
            self.case, self.sem[rows], self.depth[rows], self.bases[rows], self.buckets[rows]
        )

    def mean_sem(self, rows: Rows = slice(None)) -> npt.NDArray[np.float32]:
        """The mean of itr0 and itr1, float32 [n, rows, columns] in grey levels."""
        pair = self.sem[rows]
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

    def subset(self, rows: Rows) -> "FabSet":
        """The images chosen by a mask, by row numbers or by a slice."""
        return FabSet(self.case, self.images[rows], self.sites[rows], self.names[rows])


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

    def subset(self, rows: Rows) -> "ImageSet":
        """The images chosen by a mask, by row numbers or by a slice."""
        sites = None if self.sites is None else self.sites[rows]
        return ImageSet(self.images[rows], self.names[rows], self.skipped, sites)
