"""The challenge's folder layout: which file is what, and what is missing from it.

simulation_data/SEM/Case_k/<bucket>/<base>_itr{0,1}.png
simulation_data/Depth/Case_k/<bucket>/<base>.png
train/SEM/Depth_{100+10k}/<site>/<name>.png
train/average_depth.csv
test/SEM/<name>.png
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from semtf.data.file_source import File, Source, open_source, where
from semtf.errors import InputError

PARTS = ("simulation_data", "train", "test")
KINDS = ("itr0", "itr1", "depth")
AVERAGE_DEPTH = "train/average_depth.csv"


class Skipped(NamedTuple):
    """A file that was left out, and why."""

    path: str
    reason: str


class Member(NamedTuple):
    """A file and what it shows.

    Attributes:
        file: the file.
        case: 1 to 4, or 0 for a test image.
        folder: the bucket of a simulator image, the site of a fab image.
        base: the hole of a simulator image, the file name of others.
    """

    file: File
    case: int
    folder: str
    base: str


@dataclass
class Layout:
    """What a source holds.

    Attributes:
        prefix: the top folder, ``""`` or ``"name/"``.
        sem: by case, itr0 and itr1 of each pair one after the other.
        depth: by case, the depth maps of the same pairs.
        fab: by case, the fab images.
        test: the test images.
        average_depth: the table of site averages, if there is one.
        skipped: files that have no partner or no place.
    """

    prefix: str
    sem: dict[int, list[Member]] = field(default_factory=dict)
    depth: dict[int, list[Member]] = field(default_factory=dict)
    fab: dict[int, list[Member]] = field(default_factory=dict)
    test: list[Member] = field(default_factory=list)
    average_depth: File | None = None
    skipped: list[Skipped] = field(default_factory=list)

    def count(self) -> int:
        """How many images there are."""
        by_case = (*self.sem.values(), *self.depth.values(), *self.fab.values())
        return sum(map(len, by_case)) + len(self.test)


def fab_folder(case: int) -> str:
    """The folder of a case's fab images inside train/SEM: ``Depth_110`` for case 1."""
    return f"Depth_{100 + 10 * case}"


def scan(source: Source, cases: Iterable[int], without_fab: Container[int] = ()) -> Layout:
    """Find the files of the given cases, for those in ``without_fab`` only the simulator's.

    Raises:
        InputError: the source holds none of the layout's folders, or a case has no pairs or no
            fab images.
    """
    prefix = find_prefix(source)
    layout = Layout(prefix)
    for case in cases:
        layout.sem[case], layout.depth[case] = _pairs(source, prefix, case, layout.skipped)
        if case not in without_fab:
            layout.fab[case] = _fab(source, prefix, case, layout.skipped)
    test = flat_images(source, f"{prefix}test/SEM")
    layout.test = [Member(file, 0, "", file.path.rpartition("/")[2]) for file in test]
    layout.average_depth = source.find(prefix + AVERAGE_DEPTH)
    return layout


def open_layout(root: Path | str) -> Source:
    """The source of a data set: the folder or zip file itself, or the ``open.zip`` in a folder."""
    source = open_source(root)
    packed = source.root / "open.zip"
    if packed.is_file() and not set(source.folders()) & set(PARTS):
        return open_source(packed)
    return source


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


def _pairs(
    source: Source, prefix: str, case: int, skipped: list[Skipped]
) -> tuple[list[Member], list[Member]]:
    sem, depth = [], []
    for (bucket, base), kinds in sorted(_kinds(source, prefix, case, skipped).items()):
        missing = [kind for kind in KINDS if kind not in kinds]
        if missing:
            reason = f"it has no partner: {' and '.join(missing)} of {base} missing"
            skipped += [_skip(source, file, reason) for file in kinds.values()]
        else:
            members = [Member(kinds[kind], case, bucket, base) for kind in KINDS]
            sem += members[:2]
            depth.append(members[2])
    if not depth:
        place = where(source.root, f"{prefix}simulation_data/SEM/Case_{case}")
        raise InputError(
            f"{place}: case {case} has no pairs of SEM images and depth maps; "
            "choose the cases that are there with --case"
        )
    return sem, depth


def _kinds(
    source: Source, prefix: str, case: int, skipped: list[Skipped]
) -> dict[tuple[str, str], dict[str, File]]:
    """By bucket and base, the files of a hole: itr0, itr1 and depth."""
    found: dict[tuple[str, str], dict[str, File]] = defaultdict(dict)
    folder = f"{prefix}simulation_data/SEM/Case_{case}"
    for file in _images(source, folder, skipped):
        bucket, name = _place(file, folder)
        base, _, kind = name[:-4].rpartition("_")
        if kind in KINDS[:2] and base:
            found[bucket, base][kind] = file
        else:
            skipped.append(_skip(source, file, "its name ends neither in _itr0 nor in _itr1"))
    folder = f"{prefix}simulation_data/Depth/Case_{case}"
    for file in _images(source, folder, skipped):
        bucket, name = _place(file, folder)
        found[bucket, name[:-4]]["depth"] = file
    return found


def _fab(source: Source, prefix: str, case: int, skipped: list[Skipped]) -> list[Member]:
    folder = f"{prefix}train/SEM/{fab_folder(case)}"
    files = _images(source, folder, skipped)
    if not files:
        raise InputError(
            f"{where(source.root, folder)}: case {case} has no fab images; "
            "choose the cases that are there with --case"
        )
    return [Member(file, case, *_place(file, folder)) for file in files]


def _skip(source: Source, file: File, reason: str) -> Skipped:
    return Skipped(where(source.root, file.path), reason)


def _images(source: Source, folder: str, skipped: list[Skipped]) -> list[File]:
    images = []
    for file in source.files(folder):
        if not file.path.lower().endswith(".png"):
            continue
        if file.path.count("/", len(folder) + 1) == 1:
            images.append(file)
        else:
            skipped.append(_skip(source, file, "it is not one folder deep, as the layout has it"))
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
