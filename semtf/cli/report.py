"""`semtf report`: the HTML page of a run."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER, cache_option, data_option, run_option


@click.command(name="report")
@run_option
@data_option
@click.option("--benchmark", type=FOLDER, help="CSV of semtf benchmark --out, for the RMSE table.")
@click.option("--out", type=FOLDER, help="The page; default report.html in the run folder.")
@cache_option
def command(
    run: Path, data: Path, benchmark: Path | None, out: Path | None, cache: Path | None
) -> None:
    """Write the page of a run: errors, classifier, training curves and samples."""
    from semtf.report.page import write_report

    click.echo(f"{write_report(run, data, out, benchmark=benchmark, cache=cache)}: written")
