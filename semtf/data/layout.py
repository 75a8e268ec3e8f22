"""The challenge's folder layout: which file is what, and what is missing from it.

simulation_data/SEM/Case_k/<bucket>/<base>_itr{0,1}.png
simulation_data/Depth/Case_k/<bucket>/<base>.png
train/SEM/Depth_{100+10k}/<site>/<name>.png
train/average_depth.csv
test/SEM/<name>.png
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from semtf.data.source import File, Source
from semtf.errors import InputError

PARTS = ("simulation_data", "train", "test")
AVERAGE_DEPTH = "train/average_depth.csv"


class Skipped(NamedTuple):
    """A file that was left out, and why."""

    path: str
    reason: str


class Pair(NamedTuple):
    """Two SEM images and the depth map of one simulated hole."""

    bucket: str
    base: str
    itr0: File
    itr1: File
    depth: File


class Crop(NamedTuple):
    """One fab image of a site."""

    site: str
    name: str
    file: File


@dataclass
class Layout:
    """What a source holds, by case; ``skipped`` are the files that have no partner."""

    prefix: str
    pairs: dict[int, list[Pair]] = field(default_factory=dict)
    fab: dict[int, list[Crop]] = field(default_factory=dict)
    test: list[File] = field(default_factory=list)
    average_depth: File | None = None
    skipped: list[Skipped] = field(default_factory=list)

    def count(self) -> int:
        """How many images there are."""
        pairs = sum(map(len, self.pairs.values()))
        return 3 * pairs + sum(map(len, self.fab.values())) + len(self.test)


def fab_folder(case: int) -> str:
    """The folder of a case's fab images inside train/SEM: ``Depth_110`` for case 1."""
    return f"Depth_{100 + 10 * case}"


def scan(source: Source, cases: Iterable[int]) -> Layout:
    """Find the files of the given cases.

    Raises:
        InputError: the source holds none of the layout's folders, or a case has no pairs or no
            fab images.
    """
    prefix = find_prefix(source)
    layout = Layout(prefix)
    for case in cases:
        layout.pairs[case] = _pairs(source, prefix, case, layout.skipped)
        layout.fab[case] = _crops(source, prefix, case, layout.skipped)
    layout.test = flat_images(source, f"{prefix}test/SEM")
    layout.average_depth = source.find(prefix + AVERAGE_DEPTH)
    return layout


def find_prefix(source: Source) -> str:
    """The top folder under which the layout lies: ``""`` or ``"name/"``."""
    top = source.folders()
    if set(top) & set(PARTS):
        return ""
    found = [name for name in top if set(source.folders(name)) & set(PARTS)]
    if len(found) == 1:
        return found[0] + "/"
    problem = f"more than one folder has them: {', '.join(found)}" if found else "it has none"
    raise InputError(
        f"{source.root}: expected a data set with the folders {', '.join(PARTS)}; {problem}; "
        "`semtf simulate` makes one"
    )


def _pairs(source: Source, prefix: str, case: int, skipped: list[Skipped]) -> list[Pair]:
    found: dict[tuple[str, str], dict[str, File]] = defaultdict(dict)
    sem = f"{prefix}simulation_data/SEM/Case_{case}"
    depth = f"{prefix}simulation_data/Depth/Case_{case}"
    for file in _images(source, sem, skipped):
        bucket, name = _place(file, sem)
        base, _, kind = name[:-4].rpartition("_")
        if kind not in ("itr0", "itr1") or not base:
            reason = "its name does not end in _itr0.png or _itr1.png"
            skipped.append(Skipped(source.where(file.path), reason))
        else:
            found[bucket, base][kind] = file
    for file in _images(source, depth, skipped):
        bucket, name = _place(file, depth)
        found[bucket, name[:-4]]["depth"] = file
    pairs = []
    for (bucket, base), kinds in sorted(found.items()):
        missing = [kind for kind in ("itr0", "itr1", "depth") if kind not in kinds]
        if missing:
            reason = f"it has no partner: {' and '.join(missing)} of {base} missing"
            skipped += [Skipped(source.where(file.path), reason) for file in kinds.values()]
        else:
            pairs.append(Pair(bucket, base, kinds["itr0"], kinds["itr1"], kinds["depth"]))
    if not pairs:
        raise InputError(
            f"{source.where(sem)}: case {case} has no pairs of SEM images and depth maps; "
            "choose the cases that are there with --case"
        )
    return pairs


def _crops(source: Source, prefix: str, case: int, skipped: list[Skipped]) -> list[Crop]:
    folder = f"{prefix}train/SEM/{fab_folder(case)}"
    crops = []
    for file in _images(source, folder, skipped):
        site, name = _place(file, folder)
        crops.append(Crop(site, name, file))
    if not crops:
        raise InputError(
            f"{source.where(folder)}: case {case} has no fab images; "
            "choose the cases that are there with --case"
        )
    return crops


def _images(source: Source, folder: str, skipped: list[Skipped]) -> list[File]:
    images = []
    for file in source.files(folder):
        if not file.path.lower().endswith(".png"):
            continue
        if file.path.count("/", len(folder) + 1) == 1:
            images.append(file)
        else:
            reason = "it lies in another depth of folders than the layout has"
            skipped.append(Skipped(source.where(file.path), reason))
    return images


def _place(file: File, folder: str) -> tuple[str, str]:
    """The folder (bucket or site) and the name of an image inside ``folder``."""
    place, _, name = file.path[len(folder) + 1 :].partition("/")
    return place, name


def flat_images(source: Source, folder: str, suffixes: tuple[str, ...] = (".png",)) -> list[File]:
    """The images that lie directly in a folder, sorted by name."""
    start = len(folder) + 1 if folder else 0
    return [
        file
        for file in source.files(folder)
        if file.path.lower().endswith(suffixes) and "/" not in file.path[start:]
    ]
