"""`average_depth.csv`: the one depth the fab gives, an average for each site."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from semtf.cases import Case
from semtf.data.file_source import File, Source, full_path, read_file
from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

HEADER = ["0", "1"]
COLUMNS = ["case", "site", "depth"]


def read_average_depth(source: Source, file: File | None, cases: Sequence[Case]) -> "pd.DataFrame":
    """The table of site averages: columns case, site and depth (grey levels).

    The file has the header ``0,1`` and rows such as ``depth_140_site_00233,138.966170``: the fab
    folder of a case in small letters, and the site. Training does not need it: without the
    file the table is empty. ``cases`` are all cases of the data set.

    Raises:
        InputError: the file has other columns, or a row that is no site and depth.
    """
    import pandas as pd

    if file is None:
        return pd.DataFrame({"case": [], "site": [], "depth": []}).astype({"case": int})
    name = full_path(source.root, file.path)
    try:
        data = io.BytesIO(read_file(source.root, file))
        table = pd.read_csv(data, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as a CSV file ({error})") from error
    if list(table.columns) != HEADER:
        columns = ",".join(map(str, table.columns))
        raise InputError(f"{name}: expected the columns 0,1 (site and depth), found {columns}")
    rows = [
        _row(site, depth, cases, f"{name}, line {line}")
        for line, (site, depth) in enumerate(zip(table["0"], table["1"], strict=True), 2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(site: str, depth: str, cases: Sequence[Case], line: str) -> tuple[int, str, float]:
    matching = [case for case in cases if site.strip().lower().startswith(case.fab.lower() + "_")]
    try:
        value = float(depth)
    except ValueError:
        value = math.nan
    if not matching or not math.isfinite(value):
        raise InputError(
            f"{line}: expected a site of {', '.join(case.fab.lower() for case in cases)} and a "
            f"depth, such as {cases[0].fab.lower()}_site_00233,138.97; found {site},{depth}"
        )
    case = max(matching, key=lambda case: len(case.fab))
    return case.case, site.strip()[len(case.fab) + 1 :], value
