"""`semtf evaluate`: RMSE of predicted depth maps."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER, json_option


@click.command(name="evaluate")
@click.option("--predictions", required=True, type=FOLDER, help="Folder or zip of depth maps.")
@click.option("--truth", required=True, type=FOLDER, help="Folder or zip of true depth maps.")
@click.option("--cases", type=FOLDER, help="CSV with the columns name and case.")
@json_option
def command(predictions: Path, truth: Path, cases: Path | None, as_json: bool) -> None:
    """RMSE in grey levels over all pixels, by case where the cases are given."""
    from semtf.evaluation.rmse import evaluate

    found = evaluate(predictions, truth, cases)
    if as_json:
        import dataclasses
        import json

        click.echo(json.dumps(dataclasses.asdict(found)))
        return
    click.echo(f"RMSE {found.rmse:.3f} over {found.images} images")
    for case, value in found.rmse_by_case.items():
        click.echo(f"case {case}: {value:.3f}")
