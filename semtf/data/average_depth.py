"""`average_depth.csv`: the one depth the fab gives, an average for each site."""

import io
import math
import re
from typing import TYPE_CHECKING

from semtf.data.file_source import File, Source, read_file, where
from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

HEADER = ["0", "1"]
SITE = re.compile(r"depth_(\d+)_(.+)", re.IGNORECASE)
COLUMNS = ["case", "site", "depth"]


def read_average_depth(source: Source, file: File | None) -> "pd.DataFrame":
    """The table of site averages: columns case, site and depth (grey levels).

    The file has the header ``0,1`` and rows such as ``depth_140_site_00233,138.966170``. It is
    evidence, not needed for training: without the file the table is empty.

    Raises:
        InputError: the file has other columns, or a row that is no site and depth.
    """
    import pandas as pd

    if file is None:
        return pd.DataFrame({"case": [], "site": [], "depth": []}).astype({"case": int})
    name = where(source.root, file.path)
    try:
        data = io.BytesIO(read_file(source.root, file))
        table = pd.read_csv(data, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as a CSV file ({error})") from error
    if list(table.columns) != HEADER:
        found = ",".join(map(str, table.columns))
        raise InputError(f"{name}: expected the columns 0,1 (site and depth), found {found}")
    rows = [
        _row(site, depth, f"{name}, line {line}")
        for line, (site, depth) in enumerate(zip(table["0"], table["1"], strict=True), 2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(site: str, depth: str, where: str) -> tuple[int, str, float]:
    match = SITE.fullmatch(site.strip())
    try:
        value = float(depth)
    except ValueError:
        value = math.nan
    if match is None or not math.isfinite(value):
        raise InputError(
            f"{where}: expected a site and a depth such as depth_140_site_00233,138.97, "
            f"found {site},{depth}"
        )
    return (int(match[1]) - 100) // 10, match[2], value
