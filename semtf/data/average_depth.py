"""`average_depth.csv`: the one depth the fab gives, an average for each site."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from semtf.cases import Case
from semtf.data.file_source import File, Source, full_path, read_text_file
from semtf.data.tables import read_table
from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

HEADER = ["0", "1"]
COLUMNS = ["case", "site", "depth"]
DEEPEST = 255
NUMBER = re.compile(r"[0-9]+\.?[0-9]*([eE][+-]?[0-9]{1,3})?")


def read_average_depth(source: Source, file: File | None, cases: Sequence[Case]) -> "pd.DataFrame":
    """The table of site averages: columns case, site and depth (grey levels).

    The file has the header ``0,1`` and rows such as ``depth_140_site_00233,138.966170``: the fab
    folder of a case in small letters, and the site. Training does not need it: without the
    file the table is empty. ``cases`` are all cases of the data set.

    Raises:
        InputError: the file has other columns, a row that is no site of a case and depth from 0 to
            255, or a site twice.
    """
    import pandas as pd

    if file is None:
        return pd.DataFrame({"case": [], "site": [], "depth": []}).astype({"case": int})
    name = full_path(source.root, file.path)
    try:
        content = read_text_file(source.root, file)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error})") from error
    table = read_table(content, name)
    if list(table.columns) != HEADER:
        columns = ",".join(map(str, table.columns))
        raise InputError(f"{name}: expected the columns 0,1 (site and depth), found {columns}")
    rows = [
        _row(site, depth, cases, f"{name}, line {line}")
        for line, site, depth in table[HEADER].itertuples()
    ]
    averages = pd.DataFrame(rows, columns=COLUMNS, index=table.index)
    folded = averages.assign(site=averages["site"].str.casefold())
    twice = averages.index[folded.duplicated(["case", "site"])]
    if len(twice):
        site = table.loc[twice[0], "0"]
        raise InputError(f"{name}, line {twice[0]}: the site {site} is there twice; leave one row")
    return averages.reset_index(drop=True)


def _row(site: str, depth: str, cases: Sequence[Case], line: str) -> tuple[int, str, float]:
    matching = [case for case in cases if site.strip().lower().startswith(case.fab.lower() + "_")]
    value = float(depth) if NUMBER.fullmatch(depth.strip()) else math.nan
    case = max(matching, key=lambda case: len(case.fab), default=None)
    if case is None or not site.strip()[len(case.fab) + 1 :] or not 0 <= value <= DEEPEST:
        raise InputError(
            f"{line}: expected a site of {', '.join(case.fab.lower() for case in cases)} and a "
            f"depth from 0 to {DEEPEST}, such as {cases[0].fab.lower()}_site_00233,138.97; found "
            f"{site},{depth}"
        )
    return case.case, site.strip()[len(case.fab) + 1 :], value
