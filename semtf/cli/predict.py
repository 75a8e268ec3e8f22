"""`semtf predict`: SEM images to depth maps."""

from pathlib import Path

import click

from semtf.cli.options import (
    FOLDER,
    WEIGHTS,
    range16_option,
    run_option,
    size_option,
    skip_bad_option,
)
from semtf.config import Align, IndexKind, Weights
from semtf.errors import InputError

CHUNK = 1024


@click.command(name="predict")
@run_option
@click.option("--images", required=True, type=FOLDER, help="Folder or zip file of SEM images.")
@click.option("--out", required=True, type=FOLDER, help="Folder, or a name that ends in .zip.")
@click.option("--k", type=int, help="Neighbours an image; default as trained.")
@click.option("--weights", type=click.Choice(WEIGHTS), help="How neighbours are weighted.")
@click.option("--align", type=click.Choice(["shift", "centre"]), help="How keys are aligned.")
@click.option("--index", type=click.Choice(["scann", "exact"]), help="How they are searched.")
@size_option
@range16_option
@click.option(
    "--sites",
    type=FOLDER,
    help="CSV with the columns name and site: the images of a site vote on its case.",
)
@click.option("--arrays", is_flag=True, help="Also write float32 .npy of depth and sigma.")
@skip_bad_option
def command(
    run: Path,
    images: Path,
    out: Path,
    k: int | None,
    weights: Weights | None,
    align: Align | None,
    index: IndexKind | None,
    size: tuple[int, int] | None,
    range16: tuple[float, float] | None,
    sites: Path | None,
    arrays: bool,
    skip_bad: bool,
) -> None:
    """Estimate a depth map for every SEM image of a folder.

    Images that lie in several folders are those of sites: the images of a site vote on its case.
    """
    from semtf.data.dataset import open_images
    from semtf.estimation.estimator import load
    from semtf.estimation.predictions import Predictions, read_column
    from semtf.run import Run

    shape = Run.open(run).config.image.shape
    if size is not None and size != shape:
        raise InputError(
            f"--size {size[0]},{size[1]}: {run} was trained on {shape[0]},{shape[1]}; "
            "train another run with semtf-train --size"
        )
    found = open_images(images, size=shape, skip_bad=skip_bad, range16=range16)
    estimator = load(run, k=k, weights=weights, index=index, align=align)
    voters = found.sites if sites is None else read_column(sites, "site", found.names)
    probability = estimator.classify(found.images, voters)
    flagged = 0
    with Predictions(out, arrays=arrays) as predictions:
        for start in range(0, len(found), CHUNK):
            chunk = slice(start, start + CHUNK)
            result = estimator.predict(found.images[chunk], probability[chunk])
            predictions.write(found.names[chunk].tolist(), result)
            flagged += sum(map(bool, result.flags))
    for bad in found.skipped:
        click.echo(f"left out {bad.path}: {bad.reason}", err=True)
    click.echo(f"{out}: {len(found)} depth maps, {flagged} flagged in predictions.csv")
