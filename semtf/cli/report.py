"""`semtf report`: the HTML page of a run."""

from contextlib import nullcontext
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
    from semtf.data.dataset import open_dataset
    from semtf.lock import lock_folder
    from semtf.report.page import check_page, write_report
    from semtf.run import Run

    opened = Run.open(run)
    page = out or run / "report.html"
    check_page(page, benchmark)
    dataset = open_dataset(
        data, cases=opened.cases, cache=cache, size=opened.config.image.shape, skip_bad=True
    )
    inside = page.resolve().is_relative_to(run.resolve())
    with lock_folder(run, "reported on") if inside else nullcontext():
        write_report(opened, dataset, page, benchmark=benchmark)
    click.echo(f"{page}: written")
