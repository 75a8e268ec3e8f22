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
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from semtf.cases import CASES_FILE, CHALLENGE, Case, Cases, parse_cases
from semtf.data.endings import NAMED, PNG, split_images, warn_passed_over
from semtf.data.file_source import (
    File,
    JoinedSource,
    Source,
    ZipSource,
    full_path,
    open_source,
    read_text_file,
)
from semtf.data.skipped import Skipped
from semtf.errors import InputError
from semtf.progress import warn

FOLDERS = ("simulation_data", "train", "test")
KINDS = ("itr0", "itr1", "depth")
MAX_PREFIX, MAX_FOLDERS = 4, 1000
"""The layout is looked for in so many folders within one another, and so many side by side."""
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
        passed_over: pictures that are no PNG, or lie below the test images.
    """

    prefix: str
    sem: dict[int, list[Member]] = field(default_factory=dict)
    depth: dict[int, list[Member]] = field(default_factory=dict)
    fab: dict[int, list[Member]] = field(default_factory=dict)
    test: list[Member] = field(default_factory=list)
    average_depth: File | None = None
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: list[File] = field(default_factory=list)

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
        text = read_text_file(source.root, file).decode("utf-8")
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
        layout.sem[number], layout.depth[number] = _pair_members(source, case, layout)
        if number not in without_fab:
            layout.fab[number] = _fab_members(source, case, layout)
    layout.test = _test_members(source, layout)
    warn_passed_over(source.root, layout.passed_over, "only PNG files in their places are read")
    layout.average_depth = source.find(prefix + AVERAGE_DEPTH)
    return layout


def warn_of_folders(source: Source, cases: Cases, prefix: str) -> None:
    """Say which folders beside those of all cases are passed over."""
    simulators, fabs = [case.simulator for case in cases], [case.fab for case in cases]
    for folder, known in (("simulation_data/SEM", simulators), ("train/SEM", fabs)):
        unknown = [name for name in source.folders(prefix + folder) if name not in known]
        if unknown:
            names = ", ".join(unknown[:NAMED]) + (", ..." if len(unknown) > NAMED else "")
            warn(f"{full_path(source.root, prefix + folder)}: no case has the folder {names}")


def open_layout(root: Path | str) -> Source:
    """The source of a data set.

    It is the folder or zip file itself, or in a folder without the layout its ``open.zip``, or what
    the challenge's host hands out side by side: ``simulation_data.zip``, ``train.zip`` and
    ``test.zip``. A folder that is unpacked already goes before its zip file.
    """
    source = open_source(root)
    present = set(source.folders()) & set(FOLDERS)
    if not present and (source.root / "open.zip").is_file():
        return open_source(source.root / "open.zip")
    packed = [name for name in FOLDERS if (source.root / f"{name}.zip").is_file()]
    archives = [_layout_archive(source.root, name) for name in packed if name not in present]
    return JoinedSource(source.root, [source, *archives]) if archives else source


def _layout_archive(root: Path, name: str) -> Source:
    """The zip file of one of the layout's folders, which it may or may not hold by name."""
    archive = ZipSource(root, f"{name}.zip")
    return archive if name in archive.folders() else ZipSource(root, f"{name}.zip", f"{name}/")


def find_prefix(source: Source) -> str:
    """The top folder under which the layout lies: ``""``, ``"name/"`` or ``"name/name/"``."""
    candidates = [""]
    for _ in range(MAX_PREFIX):
        found = [prefix for prefix in candidates if set(_below(source, prefix)) & set(FOLDERS)]
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(prefix.rstrip("/") for prefix in found)
            raise InputError(f"{_expected(source)}; more than one folder has them: {named}")
        folders = (f"{prefix}{name}/" for prefix in candidates for name in _below(source, prefix))
        candidates = list(islice(folders, MAX_FOLDERS))
    if archives := _archives(source):
        raise InputError(
            f"{_expected(source)}; it has the zip file {archives[0]}: unpack it, or name "
            "it or its folder"
        )
    raise InputError(f"{_expected(source)}; it has none; `semtf simulate` makes one")


def _below(source: Source, prefix: str) -> list[str]:
    return source.folders(prefix.rstrip("/"))


def _archives(source: Source) -> list[str]:
    """The zip files in a folder, or in those directly in it, or in a zip file."""
    if source.root.is_dir():
        root = source.root
        found = sorted(root.glob("*.zip")) or sorted(root.glob("*/*.zip"))
        return [path.relative_to(root).as_posix() for path in found]
    return [file.path for file in source.files() if file.path.lower().endswith(".zip")]


def _expected(source: Source) -> str:
    return f"{source.root}: expected a data set with the folders {', '.join(FOLDERS)}"


def _pair_members(source: Source, case: Case, layout: Layout) -> tuple[list[Member], list[Member]]:
    sem, depth = [], []
    for (bucket, base), kinds in sorted(_holes(source, case, layout).items()):
        missing = [kind for kind in KINDS if kind not in kinds]
        if missing:
            reason = f"it has no partner: {' and '.join(missing)} of {base} missing"
            layout.skipped += [_skipped(source, file, reason) for file in kinds.values()]
        else:
            members = [Member(kinds[kind], case.case, bucket, base) for kind in KINDS]
            sem += members[:2]
            depth.append(members[2])
    if not depth:
        folder = full_path(source.root, f"{layout.prefix}simulation_data/SEM/{case.simulator}")
        raise InputError(
            f"{folder}: case {case.case} has no pairs of SEM images and depth maps; "
            "choose the cases that are there with --case"
        )
    return sem, depth


def _holes(source: Source, case: Case, layout: Layout) -> dict[tuple[str, str], dict[str, File]]:
    """By bucket and base, the files of a hole: itr0, itr1 and depth."""
    holes: dict[tuple[str, str], dict[str, File]] = defaultdict(dict)
    folder = f"{layout.prefix}simulation_data/SEM/{case.simulator}"
    for file in _images(source, folder, layout):
        bucket, name = _folder_and_name(file, folder)
        base, _, kind = name[:-4].rpartition("_")
        if kind in KINDS[:2] and base:
            holes[bucket, base][kind] = file
        else:
            layout.skipped.append(
                _skipped(source, file, "its name ends neither in _itr0 nor in _itr1")
            )
    folder = f"{layout.prefix}simulation_data/Depth/{case.simulator}"
    for file in _images(source, folder, layout):
        bucket, name = _folder_and_name(file, folder)
        holes[bucket, name[:-4]]["depth"] = file
    return holes


def _fab_members(source: Source, case: Case, layout: Layout) -> list[Member]:
    folder = f"{layout.prefix}train/SEM/{case.fab}"
    files = _images(source, folder, layout)
    if not files:
        raise InputError(
            f"{full_path(source.root, folder)}: case {case.case} has no fab images; "
            "choose the cases that are there with --case"
        )
    return [Member(file, case.case, *_folder_and_name(file, folder)) for file in files]


def _test_members(source: Source, layout: Layout) -> list[Member]:
    folder = f"{layout.prefix}test/SEM"
    files, others = split_images(source.files(folder), PNG)
    members = [Member(file, 0, "", file.path[len(folder) + 1 :]) for file in files]
    layout.passed_over += others + [member.file for member in members if "/" in member.base]
    return [member for member in members if "/" not in member.base]


def _skipped(source: Source, file: File, reason: str) -> Skipped:
    return Skipped(full_path(source.root, file.path), reason)


def _images(source: Source, folder: str, layout: Layout) -> list[File]:
    """The PNG files that lie one folder deep in a folder; others are noted."""
    images = []
    files, others = split_images(source.files(folder), PNG)
    layout.passed_over += others
    for file in files:
        if file.path.count("/", len(folder) + 1) == 1:
            images.append(file)
        else:
            reason = "it is not one folder deep, as the layout has it"
            layout.skipped.append(_skipped(source, file, reason))
    return images


def _folder_and_name(file: File, folder: str) -> tuple[str, str]:
    """The bucket or site, and the name, of an image that lies in ``folder``."""
    inner, _, name = file.path[len(folder) + 1 :].partition("/")
    return inner, name
