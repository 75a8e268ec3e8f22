"""`semtf measure`: the holes of depth maps, as one table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semtf.cli.options import FOLDER, json_option, size_option, skip_bad_option

if TYPE_CHECKING:
    import pandas as pd


@click.command(name="measure")
@click.option("--depth", required=True, type=FOLDER, help="Folder or zip file of depth maps.")
@click.option("--out", required=True, type=FOLDER, help="The CSV file to write.")
@click.option("--pixel-size-nm", type=float, help="Side of a pixel; adds columns in nanometres.")
@click.option("--level-nm", type=float, help="Depth of a grey level; adds depths in nanometres.")
@size_option
@skip_bad_option
@json_option
def command(
    depth: Path,
    out: Path,
    pixel_size_nm: float | None,
    level_nm: float | None,
    size: tuple[int, int] | None,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Measure the hole in each depth map: CDs, levels, wall, edge roughness.

    One row an image; what needs a whole hole is empty where there is none. The sidewall angle
    needs both --pixel-size-nm and --level-nm.
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
    tables = []
    with progress("Measuring holes", len(maps)) as advance:
        for i, name in enumerate(maps.names):
            tables.append(measure(maps.images[i], pixel_size_nm, level_nm, [str(name)]))
            advance(1, "")
    table = pd.concat(tables)
    with replacing(out) as partial:
        table.to_csv(partial, float_format="%.6g")
    for bad in maps.skipped:
        click.echo(f"left out {bad.path}: {bad.reason}", err=True)
    click.echo(_json(table, out) if as_json else _text(table, out))


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
