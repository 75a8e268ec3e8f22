"""`semtf measure`: the holes of depth maps, as one table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semtf.cli.options import FOLDER, json_option, size_option, skip_bad_option
from semtf.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import pandas as pd


@click.command(name="measure")
@click.option("--depth", required=True, type=FOLDER, help="Folder or zip file of depth maps.")
@click.option("--out", required=True, type=FOLDER, help="The CSV file to write.")
@click.option("--pixel-size-nm", type=float, help="Side of a pixel; adds columns in nanometres.")
@click.option("--level-nm", type=float, help="Depth of a grey level; adds depths in nanometres.")
@click.option(
    "--run",
    type=FOLDER,
    help="The run that predicted --depth with --arrays; adds a standard uncertainty to each.",
)
@size_option
@skip_bad_option
@json_option
def command(
    depth: Path,
    out: Path,
    pixel_size_nm: float | None,
    level_nm: float | None,
    run: Path | None,
    size: tuple[int, int] | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Measure the hole in each depth map: CDs, levels, wall, edge roughness.

    One row an image; what needs a whole hole is empty where there is none. The sidewall angle
    needs both --pixel-size-nm and --level-nm. With --run each measurement has a column u_... of its
    standard uncertainty, from draws of the depth map: twice that is an interval of about 95 %.
    """
    import pandas as pd

    from semtf.data.image_folder import open_images
    from semtf.data.names import named_after
    from semtf.metrology.hole import COLUMNS, measure
    from semtf.outputs import check_file, replacing
    from semtf.progress import progress

    check_file(out, ".csv", f"name,{COLUMNS[0]}", [depth])
    maps = open_images(depth, size=size, skip_bad=skip_bad)
    named_after(maps.names, depth)
    uncertain = None if run is None else _uncertain(run, depth, maps.names)
    tables = []
    with progress("Measuring holes", len(maps)) as advance:
        for i, name in enumerate(maps.names):
            row = measure(maps.images[i], pixel_size_nm, level_nm, [str(name)])
            if uncertain is not None:
                row = row.assign(**uncertain(i, pixel_size_nm, level_nm))
            tables.append(row)
            advance(1, "")
    table = pd.concat(tables)
    with replacing(out) as partial:
        table.to_csv(partial, float_format="%.6g")
    for bad in maps.skipped:
        click.echo(f"left out {bad.path}: {bad.reason}", err=True)
    click.echo(_json(table, out) if as_json else _text(table, out))


def _uncertain(
    run: Path, folder: Path, names: "npt.NDArray[np.str_]"
) -> "Callable[[int, float | None, float | None], dict[str, float]]":
    """Gives the uncertainties of an image's measurements, by its index and the scales."""
    from semtf.estimation.loading import error_patterns
    from semtf.estimation.predictions import TABLE, read_column
    from semtf.estimation.uncertain_measurements import uncertainties
    from semtf.evaluation.coverage import read_estimates
    from semtf.run import Run

    patterns = error_patterns(Run.open(run))
    depth, sigma = read_estimates(folder, names)
    cases = read_column(folder / TABLE, "case", names)
    missing = sorted(set(cases) - set(map(str, patterns)))
    if missing:
        raise InputError(
            f"{run}: does not know how errors of case {missing[0]} go together; train it again, or "
            "leave --run out"
        )
    return lambda i, *scales: uncertainties(depth[i], sigma[i], patterns[int(cases[i])], *scales)


def _json(table: "pd.DataFrame", out: Path) -> str:
    statistics = json.loads(table.agg(["mean", "std"]).to_json(orient="index"))
    return json.dumps({"out": str(out), "images": len(table), **_holes(table), **statistics})


def _text(table: "pd.DataFrame", out: Path) -> str:
    statistics = table.agg(["mean", "std"]).T.dropna(how="all")
    holes = _holes(table)["holes"]
    text = statistics.to_string(float_format="{:.3f}".format)
    return f"{text}\n{out}: {holes} holes in {len(table)}"


def _holes(table: "pd.DataFrame") -> dict[str, int]:
    return {"holes": int(table["area_px2"].notna().sum())}
