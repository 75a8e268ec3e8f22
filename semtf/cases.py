"""The table of the cases of a data set: their plate levels and the folders of their images."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from semtf.errors import InputError
from semtf.json_fields import parse_json

CASES_FILE = "cases.json"
"""The file at the top of a data set that names its cases; without it they are `CHALLENGE`."""

MAX_PLATE = 255


@dataclass(frozen=True)
class Case:
    """One plate level of the fab, and the folders of its images.

    Attributes:
        case: the number that users and results call it by, at least 1.
        plate: grey level of the plate in its depth maps, 1 to 255.
        simulator: its folder in ``simulation_data/SEM`` and ``simulation_data/Depth``.
        fab: its folder in ``train/SEM``; in lower case it begins the names of its sites in
            ``average_depth.csv``.
    """

    case: int
    plate: int
    simulator: str
    fab: str


Cases = tuple[Case, ...]

CHALLENGE: Cases = tuple(
    Case(number, 130 + 10 * number, f"Case_{number}", f"Depth_{100 + 10 * number}")
    for number in (1, 2, 3, 4)
)
"""The four cases of the Samsung AI Challenge 2022."""


def case_numbers(cases: Sequence[Case]) -> tuple[int, ...]:
    """The numbers of cases, in their order."""
    return tuple(case.case for case in cases)


def find_case(cases: Sequence[Case], number: int) -> Case:
    """The case of a number; raises InputError where the table has none."""
    for case in cases:
        if case.case == number:
            return case
    numbers = ", ".join(map(str, case_numbers(cases)))
    raise InputError(f"case {number}: there is no such case; the cases are {numbers}")


def chosen_cases(case: int | str, numbers: Sequence[int]) -> tuple[int, ...]:
    """What ``--case`` asks for: one of the cases, or ``all`` of them.

    Raises:
        InputError: there is no such case.
    """
    if case == "all":
        return tuple(numbers)
    if str(case) not in map(str, numbers):
        raise InputError(f"--case {case}: choose {', '.join(map(str, numbers))} or all")
    return (int(case),)


def parse_cases(text: str, name: str) -> Cases:
    """Read a table of cases from JSON.

    Args:
        text: a list of objects such as ``{"case": 1, "plate": 140, "simulator": "Case_1",
            "fab": "Depth_110"}``.
        name: what error messages call the text.

    Raises:
        InputError: the text is no such list, or `check_cases` refuses it.
    """
    try:
        entries = parse_json(text)
    except ValueError as error:
        raise InputError(f"{name}: is not JSON ({error})") from error
    if not isinstance(entries, list):
        raise InputError(f"{name}: expected a list of cases, one object each")
    cases = tuple(_case(entry, f"{name}, entry {i}") for i, entry in enumerate(entries, 1))
    check_cases(cases, name)
    return cases


def cases_json(cases: Sequence[Case]) -> str:
    """The text that `parse_cases` reads."""
    entries = (json.dumps(dataclasses.asdict(case)) for case in cases)
    return "[\n  " + ",\n  ".join(entries) + "\n]\n"


def check_cases(cases: Sequence[Case], name: str) -> None:
    """Raise InputError where a table of cases contradicts itself; ``name`` says whose it is."""
    if not cases:
        raise InputError(f"{name}: there must be at least one case")
    for case in cases:
        if case.case < 1:
            raise InputError(f"{name}: case {case.case}: the numbers of cases begin at 1")
        if not 1 <= case.plate <= MAX_PLATE:
            raise InputError(
                f"{name}: case {case.case}: plate {case.plate} must lie from 1 to {MAX_PLATE}"
            )
        for folder in (case.simulator, case.fab):
            if not folder or folder.strip(".") == "" or "/" in folder or "\\" in folder:
                raise InputError(
                    f"{name}: case {case.case}: {folder!r} must be the name of one folder"
                )
    for field in ("case", "simulator", "fab"):
        values = [str(getattr(case, field)).lower() for case in cases]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise InputError(f"{name}: {field} {twice[0]} is given twice; give each case its own")


def _case(entry: object, name: str) -> Case:
    fields = {field.name: field.type for field in dataclasses.fields(Case)}
    if not isinstance(entry, dict) or set(entry) != set(fields):
        raise InputError(f"{name}: expected an object with the keys {', '.join(fields)}")
    for key, kind in fields.items():
        if type(entry[key]) is not kind:
            wanted = "a whole number" if kind is int else "text"
            raise InputError(f"{name}: {key} {entry[key]!r} must be {wanted}")
    return Case(**entry)
