"""`semtf train` and `semtf-train`: train everything on a data set."""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semtf.adapter_table import ADAPTERS, AUTO
from semtf.cli.options import (
    FOLDER,
    cache_option,
    fab_folders,
    fab_option,
    json_option,
    range16_option,
    size_option,
    skip_bad_option,
)
from semtf.cluster import configured_cluster
from semtf.config import IndexChoice, RunConfig, Strategy
from semtf.distribution import follows
from semtf.errors import InputError
from semtf.presets import PRESETS, preset

if TYPE_CHECKING:
    from semtf.run import Run

SYNTHETIC = Path("data")
ZIP = "open.zip"


@click.command(name="train")
@click.option(
    "--case",
    metavar="all|NUMBER",
    default="all",
    show_default=True,
    help="Which case to train; all but the first start from the first where the run has it.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Folder in the challenge's layout, or its zip file. Default: the current folder, "
    "open.zip or data/ in it; where there is none, a synthetic fab is made in data/.",
)
@click.option("--run", type=FOLDER, help="The run folder; default a new one in saved_models/.")
@click.option("--preset", "name", type=click.Choice(list(PRESETS)), help="Settings.")
@click.option("--adapter", type=click.Choice([*ADAPTERS, AUTO]), help="How images are adapted.")
@click.option(
    "--index",
    type=click.Choice(typing.get_args(IndexChoice)),
    help="How stored pairs are searched: with ScaNN, or exactly with TensorFlow alone.",
)
@click.option(
    "--strategy",
    type=click.Choice(typing.get_args(Strategy)),
    help="Devices to train on; auto takes the workers of TF_CONFIG, else all GPUs, else the CPU.",
)
@click.option("--seed", type=int, help="Seed of everything random.")
@click.option("--deterministic", is_flag=True, help="The same bytes every time, a little slower.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change one field of the preset.",
)
@size_option
@fab_option
@range16_option
@click.option(
    "--classifier-weights",
    type=FOLDER,
    help="Published EfficientNet-B0 weights to start from: .safetensors, .pth or .h5.",
)
@click.option("--folds", type=click.IntRange(2), help="Also cross-validate the classifier.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option(
    "--budget",
    type=float,
    metavar="MINUTES",
    help="Time that the whole may take; --resume --budget 0 keeps the best epoch so far.",
)
@skip_bad_option
@cache_option
@json_option
def command(
    case: str,
    data: Path | None,
    run: Path | None,
    name: str | None,
    adapter: str | None,
    index: str | None,
    strategy: str | None,
    seed: int | None,
    deterministic: bool,
    settings: tuple[str, ...],
    size: tuple[int, int] | None,
    fab: tuple[str, ...],
    range16: tuple[float, float] | None,
    classifier_weights: Path | None,
    folds: int | None,
    resume: bool,
    budget: float | None,
    skip_bad: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train adaptation, storage and classifier, into one run folder."""
    fields = {
        "adaptation.adapter": adapter,
        "retrieval.index": index,
        "strategy": strategy,
        "seed": seed,
        "deterministic": deterministic or None,
    }
    changes = _changes(fields, settings, size)
    config = (
        None if name is None and not changes else _base_config(name, run).with_settings(changes)
    )
    folders = fab_folders(fab)
    if resume and run is None:
        raise InputError("--resume: say which run with --run")
    if config is not None or not resume:
        follows((config or RunConfig()).strategy)  # says at once what is wrong with TF_CONFIG
    if data is None:
        data = find_data(case)
    _refuse_trained(run, case, resume)
    from semtf import pipeline

    trained = pipeline.train(
        data,
        case,
        run=run,
        config=config,
        fab=folders,
        range16=range16,
        classifier_weights=classifier_weights,
        folds=folds,
        resume=resume,
        budget=budget,
        skip_bad=skip_bad,
        cache=cache,
    )
    led = not follows(trained.config.strategy)
    if led and trained.finished:
        _report(trained, data, folders, range16, cache)
    if as_json:
        import json

        values = {"run": str(trained.path), "cases": list(trained.cases)}
        left = {"finished": False} if led and not trained.finished else {}
        click.echo(json.dumps(values | left))
    elif not led:
        click.echo("the chief has trained; its run folder has the result")
    else:
        cases = ", ".join(map(str, trained.cases))
        if trained.finished:
            click.echo(f"{trained.path}: trained case {cases}")
        else:
            click.echo(
                f"{trained.path}: has case {cases} so far; other processes train the rest, and the "
                "last one finishes the run"
            )


def _report(
    run: "Run",
    data: Path,
    fab: dict[int, Path],
    range16: tuple[float, float] | None,
    cache: Path | None,
) -> None:
    """Write the report of a finished run; bad input that only it needs spoils no training."""
    from semtf.progress import warn
    from semtf.report.page import write_report
    from semtf.run import REPORT
    from semtf.training_data import open_training_data

    try:
        dataset = open_training_data(
            data, run.config, run.cases, fab=fab, range16=range16, skip_bad=True, cache=cache
        )
        write_report(run, dataset)
    except Exception as error:  # the training is whole without its page
        warn(f"no {REPORT} was written: {error}")


def find_data(case: str) -> Path:
    """The data set of the current folder; where it has none, a synthetic fab is made.

    Raises:
        InputError: the synthetic fab would not have the case.
    """
    for candidate in (Path(), Path(ZIP), SYNTHETIC):
        if candidate.is_file() or (candidate / "simulation_data").is_dir():
            return candidate
    if (cluster := configured_cluster()) is not None and cluster.others:
        raise InputError("--data: say which data set, where several workers train on it")
    from semtf.cases import CHALLENGE, case_numbers, chosen_cases

    chosen_cases(case, case_numbers(CHALLENGE))
    click.echo(
        f"No data set here (simulation_data/ or {ZIP}): making a synthetic fab in {SYNTHETIC}/. "
        "Depth from it says nothing about your own fab.",
        err=True,
    )
    from semtf.simulation.world import simulate

    return simulate(SYNTHETIC)


def _refuse_trained(folder: Path | None, case: str, resume: bool) -> None:
    """Refuse to train what a finished run has: the command would do nothing."""
    from semtf.cases import case_numbers
    from semtf.run import CONFIG, Run

    if folder is None or resume or not (folder / CONFIG).exists():
        return
    run = Run.open(folder)
    numbers = case_numbers(run.config.cases)
    asked = {number for number in numbers if case in ("all", str(number))}
    if run.finished and asked and asked <= set(run.cases):
        raise InputError(f"{folder}: has case {case} already; choose another --run")


def _base_config(name: str | None, run: Path | None) -> RunConfig:
    """The settings that options change: the preset of that name, or those of the run."""
    from semtf.run import CONFIG, Run

    if name is None and run is not None and (run / CONFIG).exists():
        return Run.open(run).config
    return preset(name or "quick")


def _changes(
    fields: Mapping[str, str | int | None],
    settings: tuple[str, ...],
    size: tuple[int, int] | None,
) -> dict[str, str | int]:
    """The settings that the options change, by field; an option that is None changes nothing."""
    changes: dict[str, str | int] = {}
    if size is not None:
        changes |= {"image.height": str(size[0]), "image.width": str(size[1])}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: write FIELD=VALUE, as in adaptation.width=32")
        changes[field] = value
    return changes | {field: value for field, value in fields.items() if value is not None}
