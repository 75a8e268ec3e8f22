"""`semtf predict`: SEM images to depth maps, with a run or from a server."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from semtf.cli.options import (
    FOLDER,
    Vote,
    range16_option,
    recall_option,
    size_option,
    skip_bad_option,
    weights_option,
)
from semtf.config import Align, IndexChoice, Weights
from semtf.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from semtf.estimation.estimator import Estimator
    from semtf.estimation.result import DepthResult
    from semtf.report.records import Prediction
    from semtf.serving.client.rest import Client

    Grey = npt.NDArray[np.uint8]
    Names = npt.NDArray[np.str_]
    Shares = npt.NDArray[np.float32]

CHUNK = 512


class Estimating(Protocol):
    """The methods of an estimator or a server that the command needs."""

    shape: tuple[int, int]

    def classify(self, images: "Grey", sites: "Names | None") -> "Shares":
        """Probability of each case."""

    def predict(self, images: "Grey", probability: "Shares") -> "DepthResult":
        """Depth maps."""


class Local:
    """The estimator of a run, loaded when it is first needed: after all images are read."""

    def __init__(self, run: Path, options: dict[str, Any]) -> None:
        from semtf.run import Run

        self.shape = Run.open(run).config.image.shape
        self._load = (run, options)

    @cached_property
    def _estimator(self) -> "Estimator":
        from semtf.estimation.estimator import load

        run, options = self._load
        estimator = load(run, **options)
        if not estimator.calibrated:
            click.echo(
                "sigma is the bare spread of the neighbours: intervals are calibrated for the "
                "run's own weights only",
                err=True,
            )
        return estimator

    def classify(self, images: "Grey", sites: "Names | None") -> "Shares":
        """Probability of each case; the images of a site vote."""
        return self._estimator.classify(images, sites)

    def predict(self, images: "Grey", probability: "Shares") -> "DepthResult":
        """Depth maps for cases that are known."""
        return self._estimator.predict(images, probability)


class Remote:
    """A server with the methods of an estimator."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.shape = client.shape

    def classify(self, images: "Grey", sites: "Names | None") -> "Shares":
        """Probability of each case; the images of a site vote."""
        from semtf.classification.voting import site_vote

        probability = self.client.classify(images)[1]
        return probability if sites is None else site_vote(probability, sites)

    def predict(self, images: "Grey", probability: "Shares") -> "DepthResult":
        """Depth maps for cases that are known."""
        return self.client.predict(images, probability)


@click.command(name="predict")
@click.option("--run", type=FOLDER, help="The run folder.")
@click.option("--server", metavar="URL", help="A server to ask instead, http://127.0.0.1:8501.")
@click.option("--model", default="semtf", show_default=True, help="The model's name on the server.")
@click.option("--token-file", type=FOLDER, help="File with the bearer token for the server.")
@click.option("--images", required=True, type=FOLDER, help="Folder or zip file of SEM images.")
@click.option(
    "--out", required=True, type=FOLDER, help="Folder of its own, or a name that ends in .zip."
)
@click.option("--k", type=int, help="Neighbours an image; default as trained.")
@weights_option
@click.option("--align", type=click.Choice(["shift", "centre"]), help="How keys are aligned.")
@click.option(
    "--index", type=click.Choice(["auto", "scann", "exact"]), help="How they are searched."
)
@recall_option
@size_option
@range16_option
@click.option(
    "--sites",
    type=FOLDER,
    help="CSV with the columns name and site: the images of a site vote on its case.",
)
@click.option(
    "--vote",
    type=Vote(),
    help="neighbours:9 gives each image the case of most of the 9 around it in the order of their "
    "names. Wrong where images that follow one another are not of one case.",
)
@click.option(
    "--verify",
    type=click.Choice(["sizes", "full"]),
    help="full reads every file of the run and compares its SHA-256 with the manifest's; default "
    "sizes.",
)
@click.option("--arrays", is_flag=True, help="Also write float32 .npy of depth and sigma.")
@skip_bad_option
def command(
    run: Path | None,
    server: str | None,
    model: str,
    token_file: Path | None,
    images: Path,
    out: Path,
    k: int | None,
    weights: Weights | None,
    align: Align | None,
    index: IndexChoice | None,
    recall: float | None,
    size: tuple[int, int] | None,
    range16: tuple[float, float] | None,
    sites: Path | None,
    vote: int | None,
    verify: str | None,
    arrays: bool,
    skip_bad: bool,
) -> None:
    """Estimate a depth map for every SEM image of a folder, with a run or from a server.

    Images that lie in several folders are those of sites: the images of a site vote on its case.
    """
    if (run is None) == (server is None):
        raise InputError("give --run or --server, and not both")
    if vote is not None and sites is not None:
        raise InputError("--vote: the images of a site vote already; leave --vote or --sites out")
    if verify is not None and run is None:
        raise InputError("--verify: looks at the files of a run; it needs --run")
    if verify == "full" and run is not None:
        from semtf.run import Run

        Run.open(run).check(full=True)
    options = {
        "--k": k,
        "--weights": weights,
        "--align": align,
        "--index": index,
        "--recall": recall,
    }
    with _estimating(run, server, model, token_file, options) as estimator:
        shape = estimator.shape
        if size is not None and size != shape:
            raise InputError(
                f"--size {size[0]},{size[1]}: {run or server} was trained on "
                f"{shape[0]},{shape[1]}; train another run with semtf-train --size"
            )
        made = predict_files(estimator, images, out, range16, sites, vote, arrays, skip_bad)
    if run is not None:
        from semtf.report.records import record

        record(run, made)


@contextmanager
def _estimating(
    run: Path | None,
    server: str | None,
    model: str,
    token_file: Path | None,
    options: dict[str, Any],
) -> Iterator[Estimating]:
    if run is not None:
        yield Local(run, {name.removeprefix("--"): value for name, value in options.items()})
        return
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}: decided when the model was exported; it needs --run")
    from semtf.serving import Client, ServerError
    from semtf.serving.token import read_token

    token = None if token_file is None else read_token(token_file)
    try:
        with Client(str(server), model=model, token=token) as client:
            yield Remote(client)
    except ServerError as error:
        if error.status is None or error.status >= 500:
            raise
        raise InputError(f"--server {server}: {error}") from error


def predict_files(
    estimator: Estimating,
    images: Path,
    out: Path,
    range16: tuple[float, float] | None,
    sites: Path | None,
    vote: int | None,
    arrays: bool,
    skip_bad: bool,
) -> "Prediction":
    """Read, classify, estimate and write: what the command does with its estimator.

    Returns:
        The record of the prediction for the run's report.
    """
    from semtf.data.image_folder import image_files, open_images
    from semtf.estimation.destination import check_form, safe_destination
    from semtf.estimation.flag_summary import FlagSummary
    from semtf.estimation.predictions import Predictions, read_column
    from semtf.report.records import Prediction

    check_form(out, arrays)
    opened = open_images(images, size=estimator.shape, skip_bad=skip_bad, range16=range16)
    inputs = [images, *image_files(images), sites]
    names = opened.names.tolist()
    destination = safe_destination(out, names, images, inputs=inputs, arrays=arrays)
    voters = opened.sites if sites is None else read_column(sites, "site", opened.names)
    if vote is not None and voters is not None:
        raise InputError(
            f"--vote: {images} has a folder for each site, and their images vote already; leave it "
            "out"
        )
    probability = estimator.classify(opened.images, voters)
    if vote is not None:
        probability = _after_vote(probability, vote)
    summary = FlagSummary(opened)
    cases: Counter[int] = Counter()
    sigma = 0.0
    # One chunk is written while the next is estimated.
    with Predictions(destination) as predictions, ThreadPoolExecutor(1) as writer:
        written = writer.submit(lambda: None)
        for start in range(0, len(opened), CHUNK):
            chunk = slice(start, start + CHUNK)
            result = estimator.predict(opened.images[chunk], probability[chunk])
            written.result()
            written = writer.submit(predictions.write, names[chunk], result)
            summary.add(result.flags)
            cases.update(result.case.tolist())
            sigma += float(result.sigma.mean()) * len(result) / len(opened)
        written.result()
    for bad in opened.skipped:
        click.echo(f"left out {bad.path}: {bad.reason}", err=True)
    summary.warn()
    click.echo(f"{out}: {summary}")
    return Prediction(
        images=str(images),
        count=len(opened),
        cases=dict(sorted(cases.items())),
        sigma=sigma,
        flagged=summary.flagged,
        flags=dict(summary.counts),
    )


def _after_vote(probability: "Shares", window: int) -> "Shares":
    from semtf.classification.voting import neighbour_vote

    voted = neighbour_vote(probability, window)
    changed = int((voted.argmax(axis=1) != probability.argmax(axis=1)).sum())
    click.echo(
        f"--vote neighbours:{window}: {changed} of {len(voted)} images took the case of those "
        "around them",
        err=True,
    )
    return voted
