"""`semtf benchmark`: methods side by side on one data set."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semtf.bounds import is_whole
from semtf.cli.options import (
    FOLDER,
    cache_option,
    data_option_if_needed,
    fab_folders,
    fab_option,
    json_option,
)
from semtf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from semtf.run import Run

ERRORS = ("method", "seed", "rmse", "plate", "wall", "floor", "coverage")
SHOWN = (*ERRORS, "fit_s", "image_ms")


@click.command(name="benchmark")
@data_option_if_needed
@click.option("--truth", type=FOLDER, help="Depth/ and cases.csv; default DATA/truth.")
@click.option("--run", type=FOLDER, help="A trained run; without it one is trained for this.")
@click.option(
    "--methods",
    metavar="A,B|all",
    help="Names or patterns such as 'adapted/*'; default ten that train nothing.",
)
@click.option("--list", "listed", is_flag=True, help="List all methods and end.")
@click.option("--seeds", metavar="0,1,2", help="Repeat with these seeds; default the run's.")
@click.option("--pairs", type=click.IntRange(2), help="Store so many pairs of each case.")
@click.option("--sites", type=FOLDER, help="CSV of the test images' sites: name, site.")
@fab_option
@click.option(
    "--out",
    type=FOLDER,
    help="Also write the table into this CSV file; finished rows are kept beside it, as .jsonl.",
)
@click.option("--page", type=FOLDER, help="Also write the table as an HTML page.")
@click.option("--work", type=FOLDER, help="Keep trained networks and finished rows here.")
@cache_option
@json_option
def command(
    data: Path | None,
    truth: Path | None,
    run: Path | None,
    methods: str | None,
    listed: bool,
    seeds: str | None,
    pairs: int | None,
    sites: Path | None,
    fab: tuple[str, ...],
    out: Path | None,
    page: Path | None,
    work: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """What each part of the recipe buys: errors over the test images, method by method.

    Where --out or --work is given, the same command again goes on where it was interrupted.
    """
    from semtf.benchmark.registry import chosen, listing

    if listed:
        click.echo(listing())
        return
    if data is None:
        raise InputError("--data: say which data set, a folder in the challenge's layout or a zip")
    wanted = chosen(methods)
    numbers = _seeds(seeds)
    from semtf.benchmark.benchmark import benchmark
    from semtf.benchmark.page import check_page, write_page
    from semtf.benchmark.rows import MARK, Rows
    from semtf.benchmark.world import Settings
    from semtf.outputs import check_file, check_folder, replacing
    from semtf.training_data import open_training_data

    folders = fab_folders(fab)
    inputs = [data, truth, run, sites, *folders.values()]
    kept = out.with_suffix(".jsonl") if out else work / "rows.jsonl" if work else None
    if out is not None:
        check_file(out, ".csv", "method,rmse", inputs)
    if kept is not None:
        check_file(kept, ".jsonl", MARK, inputs)
    if page is not None:
        check_page(page, inputs)
    if work is not None:
        check_folder(work)
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trained = _run(run, data, folders, folder, cache)
        table = benchmark(
            open_training_data(
                data,
                trained.config,
                trained.cases,
                fab=folders,
                range16=None,
                skip_bad=True,
                cache=cache,
            ),
            truth or data / "truth",
            wanted,
            Settings(trained.config, folder / "networks", pairs),
            run=trained,
            sites=sites,
            seeds=numbers,
            rows=Rows(kept),
        )
    if out is not None:
        with replacing(out) as partial:
            table.to_csv(partial, index=False)
    if page is not None:
        write_page(table, page, data)
    _record(run, data, table)
    if as_json:
        click.echo(table.to_json(orient="records"))
    else:
        click.echo(_as_text(table))


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(map(is_whole, parts)):
        raise InputError(f"--seeds {text}: write whole numbers with commas, as in 0,1,2")
    return [int(part) for part in parts]


def _run(
    run: Path | None, data: Path, fab: dict[int, Path], folder: Path, cache: Path | None
) -> "Run":
    """The given run, or one that is trained in the folder, where it may be there already."""
    from semtf import pipeline
    from semtf.run import CONFIG, Run

    if run is not None:
        return Run.open(run)
    path = folder / "run"
    resume = (path / CONFIG).exists() and not Run.open(path).finished
    if (path / CONFIG).exists() and not resume:
        return Run.open(path)
    return pipeline.train(data, run=path, fab=fab, cache=cache, resume=resume)


def _record(run: Path | None, data: Path, table: "pd.DataFrame") -> None:
    """Show the table in the report of the run that was given."""
    if run is None:
        return
    from semtf.report.records import Benchmark, record
    from semtf.report.scores import score_table

    shown = score_table(table, [column for column in _shown(table) if column in ERRORS])
    record(run, Benchmark(data=str(data), **shown))


def _shown(table: "pd.DataFrame") -> list[str]:
    """The columns that a terminal has room for."""
    columns = [c for c in map(str, table) if c in SHOWN or c.startswith("case_")]
    if table["seed"].nunique() <= 1:
        columns.remove("seed")
    return columns


def _as_text(table: "pd.DataFrame") -> str:
    columns = _shown(table)
    return str(table[columns].to_string(index=False, na_rep="-", float_format="{:.3f}".format))
