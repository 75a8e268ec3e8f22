"""`semtf benchmark`: methods side by side on one data set."""

import tempfile
from pathlib import Path

import click

from semtf.cli.options import FOLDER, cache_option, data_option, json_option


@click.command(name="benchmark")
@data_option
@click.option("--truth", type=FOLDER, help="Depth/ and cases.csv; default DATA/truth.")
@click.option("--run", type=FOLDER, help="A trained run; without it one is trained for this.")
@click.option("--out", type=FOLDER, help="Also write the table into this CSV file.")
@cache_option
@json_option
def command(
    data: Path,
    truth: Path | None,
    run: Path | None,
    out: Path | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """RMSE over the test images: no adaptation, adapted, and the best that can be had."""
    from semtf import pipeline
    from semtf.data.dataset import open_dataset
    from semtf.evaluation.benchmark import benchmark
    from semtf.outputs import check_file, replacing
    from semtf.run import Run

    if out is not None:
        check_file(out, ".csv", "method,rmse", [data, truth, run])
    with tempfile.TemporaryDirectory() as folder:
        trained = (
            Run.open(run) if run else pipeline.train(data, run=Path(folder) / "run", cache=cache)
        )
        dataset = open_dataset(
            data, cases=trained.cases, cache=cache, size=trained.config.image.shape, skip_bad=True
        )
        table = benchmark(trained, dataset, truth or data / "truth")
    if out is not None:
        with replacing(out) as partial:
            table.to_csv(partial, index=False)
    if as_json:
        click.echo(table.to_json(orient="records"))
    else:
        click.echo(table.to_string(index=False, float_format="{:.3f}".format))
