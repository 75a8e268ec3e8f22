"""The challenge's folder layout: what each file shows, and which files are missing.

simulation_data/SEM/<simulator folder of a case>/<bucket>/<base>_itr{0,1}.png
simulation_data/Depth/<simulator folder of a case>/<bucket>/<base>.png
train/SEM/<fab folder of a case>/<site>/<name>.png
train/average_depth.csv
test/SEM/<name>.png
cases.json
"""

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from semtf.cases import CASES_FILE, CHALLENGE, Case, Cases, parse_cases
from semtf.data.file_source import File, Source, full_path, open_source, read_file
from semtf.data.skipped import Skipped
from semtf.errors import InputError

FOLDERS = ("simulation_data", "train", "test")
KINDS = ("itr0", "itr1", "depth")
AVERAGE_DEPTH = "train/average_depth.csv"


class Member(NamedTuple):
    """A file and what it shows.

    Attributes:
        file: the file.
        case: the number of its case, or 0 for a test image.
        folder: the bucket of a simulator image, the site of a fab image.
        base: the hole of a simulator image, the file name of others.
    """

    file: File
    case: int
    folder: str
    base: str


@dataclass
class Layout:
    """The files of a source, by what they show.

    Attributes:
        prefix: the top folder, ``""`` or ``"name/"``.
        sem: by case, itr0 and itr1 of each pair one after the other.
        depth: by case, the depth maps of the same pairs.
        fab: by case, the fab images.
        test: the test images.
        average_depth: the table of site averages, if there is one.
        skipped: files that have no partner, or lie where the layout has none.
    """

    prefix: str
    sem: dict[int, list[Member]] = field(default_factory=dict)
    depth: dict[int, list[Member]] = field(default_factory=dict)
    fab: dict[int, list[Member]] = field(default_factory=dict)
    test: list[Member] = field(default_factory=list)
    average_depth: File | None = None
    skipped: list[Skipped] = field(default_factory=list)

    def count(self) -> int:
        """The number of images."""
        by_case = (*self.sem.values(), *self.depth.values(), *self.fab.values())
        return sum(map(len, by_case)) + len(self.test)


def find_cases(source: Source) -> Cases:
    """The cases that a data set names in ``cases.json``; the challenge's where it has none.

    Raises:
        InputError: the file cannot be read, or contradicts itself.
    """
    file = source.find(find_prefix(source) + CASES_FILE)
    if file is None:
        return CHALLENGE
    name = full_path(source.root, file.path)
    try:
        text = read_file(source.root, file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error})") from error
    return parse_cases(text, name)


def present_cases(source: Source, cases: Cases) -> tuple[int, ...]:
    """The numbers of the cases that have a folder of simulator images.

    Raises:
        InputError: no case has one.
    """
    folder = f"{find_prefix(source)}simulation_data/SEM"
    folders = set(source.folders(folder))
    present = tuple(case.case for case in cases if case.simulator in folders)
    if not present:
        names = ", ".join(case.simulator for case in cases)
        raise InputError(f"{full_path(source.root, folder)}: has none of the folders {names}")
    return present


def scan(source: Source, cases: Iterable[Case], without_fab: Container[int] = ()) -> Layout:
    """Find the files of the given cases, for those in ``without_fab`` only the simulator's.

    Raises:
        InputError: the source holds none of the layout's folders, or a case has no pairs or no
            fab images.
    """
    prefix = find_prefix(source)
    layout = Layout(prefix)
    for case in cases:
        number = case.case
        layout.sem[number], layout.depth[number] = _pair_members(
            source, prefix, case, layout.skipped
        )
        if number not in without_fab:
            layout.fab[number] = _fab_members(source, prefix, case, layout.skipped)
    test = flat_images(source, f"{prefix}test/SEM")
    layout.test = [Member(file, 0, "", file.path.rpartition("/")[2]) for file in test]
    layout.average_depth = source.find(prefix + AVERAGE_DEPTH)
    return layout


def open_layout(root: Path | str) -> Source:
    """The source of a data set: the folder or zip file itself, or the ``open.zip`` in a folder."""
    source = open_source(root)
    archive = source.root / "open.zip"
    if archive.is_file() and not set(source.folders()) & set(FOLDERS):
        return open_source(archive)
    return source


def find_prefix(source: Source) -> str:
    """The top folder under which the layout lies: ``""`` or ``"name/"``."""
    top = source.folders()
    if set(top) & set(FOLDERS):
        return ""
    candidates = [name for name in top if set(source.folders(name)) & set(FOLDERS)]
    if len(candidates) == 1:
        return candidates[0] + "/"
    problem = "it has none"
    if candidates:
        problem = f"more than one folder has them: {', '.join(candidates)}"
    raise InputError(
        f"{source.root}: expected a data set with the folders {', '.join(FOLDERS)}; {problem}; "
        "`semtf simulate` makes one"
    )


def _pair_members(
    source: Source, prefix: str, case: Case, skipped: list[Skipped]
) -> tuple[list[Member], list[Member]]:
    sem, depth = [], []
    for (bucket, base), kinds in sorted(_holes(source, prefix, case, skipped).items()):
        missing = [kind for kind in KINDS if kind not in kinds]
        if missing:
            reason = f"it has no partner: {' and '.join(missing)} of {base} missing"
            skipped += [_skipped(source, file, reason) for file in kinds.values()]
        else:
            members = [Member(kinds[kind], case.case, bucket, base) for kind in KINDS]
            sem += members[:2]
            depth.append(members[2])
    if not depth:
        folder = full_path(source.root, f"{prefix}simulation_data/SEM/{case.simulator}")
        raise InputError(
            f"{folder}: case {case.case} has no pairs of SEM images and depth maps; "
            "choose the cases that are there with --case"
        )
    return sem, depth


def _holes(
    source: Source, prefix: str, case: Case, skipped: list[Skipped]
) -> dict[tuple[str, str], dict[str, File]]:
    """By bucket and base, the files of a hole: itr0, itr1 and depth."""
    holes: dict[tuple[str, str], dict[str, File]] = defaultdict(dict)
    folder = f"{prefix}simulation_data/SEM/{case.simulator}"
    for file in _images(source, folder, skipped):
        bucket, name = _folder_and_name(file, folder)
        base, _, kind = name[:-4].rpartition("_")
        if kind in KINDS[:2] and base:
            holes[bucket, base][kind] = file
        else:
            skipped.append(_skipped(source, file, "its name ends neither in _itr0 nor in _itr1"))
    folder = f"{prefix}simulation_data/Depth/{case.simulator}"
    for file in _images(source, folder, skipped):
        bucket, name = _folder_and_name(file, folder)
        holes[bucket, name[:-4]]["depth"] = file
    return holes


def _fab_members(source: Source, prefix: str, case: Case, skipped: list[Skipped]) -> list[Member]:
    folder = f"{prefix}train/SEM/{case.fab}"
    files = _images(source, folder, skipped)
    if not files:
        raise InputError(
            f"{full_path(source.root, folder)}: case {case.case} has no fab images; "
            "choose the cases that are there with --case"
        )
    return [Member(file, case.case, *_folder_and_name(file, folder)) for file in files]


def _skipped(source: Source, file: File, reason: str) -> Skipped:
    return Skipped(full_path(source.root, file.path), reason)


def _images(source: Source, folder: str, skipped: list[Skipped]) -> list[File]:
    images = []
    for file in source.files(folder):
        if not file.path.lower().endswith(".png"):
            continue
        if file.path.count("/", len(folder) + 1) == 1:
            images.append(file)
        else:
            skipped.append(
                _skipped(source, file, "it is not one folder deep, as the layout has it")
            )
    return images


def _folder_and_name(file: File, folder: str) -> tuple[str, str]:
    """The bucket or site, and the name, of an image that lies in ``folder``."""
    inner, _, name = file.path[len(folder) + 1 :].partition("/")
    return inner, name


def flat_images(source: Source, folder: str, suffixes: tuple[str, ...] = (".png",)) -> list[File]:
    """The images that lie directly in a folder, sorted by name."""
    start = len(folder) + 1 if folder else 0
    return [
        file
        for file in source.files(folder)
        if file.path.lower().endswith(suffixes) and "/" not in file.path[start:]
    ]
