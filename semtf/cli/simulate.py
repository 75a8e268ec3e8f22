"""`semtf simulate`: make a synthetic fab's data set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semtf.cases import CHALLENGE, Cases, parse_cases
from semtf.cli.options import FOLDER, json_option
from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@click.command(name="simulate")
@click.argument("out", type=FOLDER)
@click.option("--pairs", default=1000, show_default=True, help="Simulator structures a case.")
@click.option("--train", default=400, show_default=True, help="Fab training images a case.")
@click.option("--test", default=400, show_default=True, help="Fab test images a case.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything drawn.")
@click.option(
    "--fab",
    metavar="dose|tonal|struct|random|PATH",
    default="struct",
    show_default=True,
    help="The fab: a preset, one of the zoo by the seed, or the fab.json of another data set.",
)
@click.option(
    "--target-keys", is_flag=True, help="Also write the pairs as the fab's microscope shows them."
)
@click.option(
    "--depth",
    type=FOLDER,
    help="Folder of depth maps to take the structures from, instead of drawing them.",
)
@click.option(
    "--cases",
    "cases_file",
    type=FOLDER,
    help="JSON list of cases (docs/data.md), instead of the challenge's four.",
)
@click.option("--report", is_flag=True, help="Print published against achieved statistics.")
@json_option
def command(
    out: Path,
    pairs: int,
    train: int,
    test: int,
    seed: int,
    fab: str,
    target_keys: bool,
    depth: Path | None,
    cases_file: Path | None,
    report: bool,
    as_json: bool,
) -> None:
    """Make a synthetic fab's data set in the challenge's layout, in the new folder OUT.

    Counts are per case: with four cases --test 400 writes 1600 test images.
    """
    from semtf.simulation.world import simulate

    if report and (depth or not pairs or not train):
        raise InputError("--report: compares drawn holes; leave out --depth, --pairs 0, --train 0")
    simulate(
        out,
        pairs=pairs,
        train=train,
        test=test,
        seed=seed,
        fab=fab,
        target_keys=target_keys,
        depth=depth,
        cases=_cases(cases_file),
    )
    counts = {"pairs": pairs, "train": train, "test": test, "seed": seed, "fab": fab}
    table = _table(out) if report else None
    if as_json:
        rows = {} if table is None else {"report": json.loads(table.to_json(orient="records"))}
        click.echo(json.dumps({"out": str(out), **counts, **rows}))
        return
    if table is not None:
        click.echo(_as_text(table))
    click.echo(f"{out}: {pairs} pairs, {train} fab and {test} test images a case ({fab} fab)")


def _cases(path: Path | None) -> Cases:
    if path is None:
        return CHALLENGE
    try:
        return parse_cases(path.read_text(encoding="utf-8"), f"--cases {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--cases {path}: cannot be read ({error})") from error


def _table(out: Path) -> "pd.DataFrame":
    """The report, measured on the files with a cache that is thrown away."""
    from tempfile import TemporaryDirectory

    from semtf.simulation.calibration_report import report

    with TemporaryDirectory() as cache:
        return report(out, Path(cache))


def _as_text(table: "pd.DataFrame") -> str:
    shown = table.copy()
    shown["inside"] = shown["inside"].map({True: "yes", False: "NO"})
    return str(shown.to_string(index=False, na_rep="-", float_format="{:.3f}".format))
