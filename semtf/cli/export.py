"""`semtf export`: a run as one SavedModel."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER, recall_option, run_option
from semtf.config import IndexKind


@click.command(name="export")
@run_option
@click.option("--out", required=True, type=FOLDER, help="New version folder, such as semtf/1.")
@click.option(
    "--index",
    type=click.Choice(["scann", "exact"]),
    default="exact",
    show_default=True,
    help="exact needs stock TensorFlow only; scann needs ScaNN's operations.",
)
@recall_option
@click.option(
    "--verify/--no-verify", default=True, show_default=True, help="Load it afresh and compare."
)
def command(run: Path, out: Path, index: IndexKind, recall: float | None, verify: bool) -> None:
    """Write a run as one SavedModel for TensorFlow Serving."""
    from semtf.serving.saved_model.export import export

    found = export(run, out, index=index, recall=recall, check=verify)
    click.echo(f"{out}: exported with the {index} index")
    if found is not None:
        for loader, difference in found.difference.items():
            click.echo(
                f"verified with the {loader} loader: depth of {found.images} images within "
                f"{difference:.2g} grey levels of the estimator's"
            )
        if found.recall is not None:
            click.echo(
                f"against the exact search: recall {found.recall:.4f} of the neighbours, RMSE "
                f"{found.rmse:.3f} grey levels"
            )
