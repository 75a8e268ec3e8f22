"""Train everything for the chosen cases, into one run folder."""

import csv
import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import tensorflow as tf

from semtf.adaptation import adapter
from semtf.adaptation.plausibility import check_polarity
from semtf.adaptation.train import check_replicas
from semtf.backend.checked_keras import keras
from semtf.budget import training_budget
from semtf.case_claims import DOING, SETTING_UP, CaseClaims, is_setting_up
from semtf.cases import CASES_FILE, CHALLENGE, case_numbers, chosen_cases, find_case
from semtf.classification import train as classification
from semtf.config import RunConfig
from semtf.data.dataset import Dataset
from semtf.data.layout import find_cases, open_layout
from semtf.disk import explain_full_disk
from semtf.distribution import check_batch, choose_strategy, follows, make_deterministic
from semtf.errors import InputError
from semtf.following import follow, leading, share_data
from semtf.json_fields import parse_json
from semtf.lock import is_vacant, lock_folder, part_holders
from semtf.orders import is_chief
from semtf.outputs import check_folder, protect
from semtf.preflight import check_data, check_environment
from semtf.presets import as_config, preset
from semtf.progress import inform, warn
from semtf.run import CONFIG, DATA, Run
from semtf.stages import train_case, train_classifier
from semtf.training_data import open_training_data

NO_WEIGHTS = (
    "preset challenge: the recipe's classifier starts from the published weights "
    "tf_efficientnet_b0_ns; without --classifier-weights it starts from random ones"
)


def train(
    data: Path | str | Dataset,
    case: int | str = "all",
    *,
    run: Path | str | Run | None = None,
    config: RunConfig | str | Mapping[str, Any] | None = None,
    fab: Mapping[int, Path | str] | None = None,
    range16: tuple[float, float] | None = None,
    classifier_weights: Path | str | None = None,
    folds: int | None = None,
    resume: bool = False,
    budget: float | None = None,
    skip_bad: bool = False,
    cache: Path | str | None = None,
    strategy: tf.distribute.Strategy | str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Train adaptation, storage and classifier of the chosen cases.

    The first case comes first; the others start from its weights where the run has them. Several
    processes, on several machines, may train cases of one run folder at once (docs/scale.md).

    Args:
        data: folder in the challenge's layout, the zip file of one, or a `Dataset`.
        case: the number of a case of the data set, or ``"all"``.
        run: the run folder; a new one in ``saved_models`` where None. An existing run gets the
            cases that it does not have yet; where it has them all from the same data, it is
            returned as it is.
        config: the settings, the name of a preset, or a dict of fields (`semtf.presets.as_config`);
            of an existing run its own, of a new run those of ``quick``, where None. Of an existing
            run, only what nothing was made with yet may change.
        fab: by case, plain folders of PNG or TIFF images to take as fab images in place of
            those in ``data``.
        range16: the values of 16-bit images in those folders that become 0 and 255.
        classifier_weights: file of published EfficientNet-B0 weights to start the classifier from.
        folds: also cross-validate the classifier over that many folds of sites; the accuracies go
            into ``classifier/folds.json``.
        resume: go on with a run that was interrupted.
        budget: minutes that the whole may take. Each case's training and the classifier's get a
            share, which stderr tells at the start, and what one leaves the others have; the time
            is looked at after each epoch. With ``resume`` and 0, the best epoch so far is taken
            of a training that was begun.
        skip_bad: leave bad images out and list them in the run folder's ``skipped.csv``.
        cache: where the packed images are kept.
        strategy: where networks are trained, such as
            ``tf.distribute.MirroredStrategy(["/gpu:0", "/gpu:1"])``, or a name that
            `semtf.distribution.choose_strategy` knows; the config's ``strategy`` where None.
            Where several workers train, all of them call this, and the chief alone writes.
        callbacks: Keras callbacks that are given to every ``fit``: that of each case's adapter
            where it is trained (`semtf.adaptation.train.train`), and then that of the classifier
            (`semtf.classification.train.train`); not to those of ``folds``. ``self.model.name``
            tells them apart, as in ``cyclegan_case_1`` and ``efficientnet_b0``. After a resume
            epochs are counted on. docs/tracking.md has an example.

    Returns:
        The run. It is finished, unless other processes still train cases of it: the last one
        trains the classifier and finishes it.

    Raises:
        InputError: bad data or options, the run exists and does not fit them, other processes
            train these cases or change the run, something is missing that the training would need,
            or a batch cannot be split evenly over the strategy's replicas.
        TrainingError: training went wrong, the disk is full, or a worker was lost.
    """
    _check_callbacks(callbacks)
    folder = _new_folder() if run is None else run.path if isinstance(run, Run) else Path(run)
    chosen = None if config is None else as_config(config)
    classifier_weights = None if classifier_weights is None else Path(classifier_weights)
    files = None if isinstance(data, Dataset) else data
    open_data = functools.partial(
        open_training_data, data, fab=fab, range16=range16, skip_bad=skip_bad, cache=cache
    )
    if _follows(strategy, chosen, folder):
        joined = _chosen_strategy(strategy, "auto")
        return Run(folder, follow(joined, open_data) or chosen or preset("quick"))
    with (
        lock_folder(folder, SETTING_UP, joins=True, waits=is_setting_up) as lock,
        explain_full_disk(folder, "the same command with --resume goes on"),
    ):
        existing = _existing_run(folder, chosen, resume)
        settings = settings_with_cases(existing, chosen or preset("quick"), data)
        known = data.cases if isinstance(data, Dataset) else case_numbers(settings.cases)
        cases = chosen_cases(case, known)
        for number in fab or {}:
            find_case(settings.cases, number)
        if existing:
            protect(existing.replaced, [files, classifier_weights, *(fab or {}).values()])
        present = existing.cases if existing else ()
        if existing and not resume and set(cases) <= set(present):
            if _same_data(existing, data):
                warn(f"{folder}: is trained already on this data; nothing was done")
                return existing
            raise InputError(f"{folder}: has case {case} already; choose another --run")
        strategy = _chosen_strategy(strategy, settings.strategy)
        with leading(strategy):
            _set_up(settings, len({*present, *cases}), classifier_weights)
            _check_batches(settings, strategy)
            numbers = [n for n in case_numbers(settings.cases) if n in {*present, *cases}]
            dataset = open_data(settings, numbers)
            new = [number for number in dataset.cases if number not in present]
            check_data(settings, dataset, folder, new, folds)
            for number in new:
                check_polarity(dataset.simulator(number), dataset.fab(number))
            shares = None if budget is None else training_budget(budget, settings, dataset.cases)
            if shares is not None:
                inform(f"budget of {budget:g} minutes: {shares.told()}")
            current = existing or Run.create(folder, settings)
            current.begin()
            _write_data_summary(current, dataset)
            share_data(strategy, settings, dataset)
            claims = CaseClaims(lock, current, new)
            claims.train(
                lambda number: train_case(current, dataset, number, strategy, callbacks, shares)
            )
            if claims.others():
                return current
            lock.relabel(DOING)
            if current.cases != dataset.cases:
                dataset = open_data(settings, current.cases)
                share_data(strategy, settings, dataset)
            _write_data_summary(current, dataset)
            train_classifier(
                current, dataset, classifier_weights, folds, resume, strategy, callbacks, shares
            )
            current.finish()
            return current


def _chosen_strategy(
    strategy: tf.distribute.Strategy | str | None, setting: str
) -> tf.distribute.Strategy:
    """The strategy that was given, by itself or by its name; else that of the settings."""
    if strategy is None or isinstance(strategy, str):
        return choose_strategy(strategy or setting)
    return strategy


def _follows(
    strategy: tf.distribute.Strategy | str | None, config: RunConfig | None, folder: Path
) -> bool:
    """Whether another process leads the training; no cluster is formed to find that out."""
    if strategy is not None and not isinstance(strategy, str):
        return not is_chief(strategy)
    if config is None and (folder / CONFIG).exists():
        config = Run.open(folder).config
    return follows(strategy or (config or RunConfig()).strategy)


def _set_up(settings: RunConfig, cases: int, classifier_weights: Path | None) -> None:
    """Check the environment, and make it what the settings ask for."""
    check_environment(settings, cases, classifier_weights)
    if settings.preset == "challenge" and classifier_weights is None:
        inform(NO_WEIGHTS)
    if settings.deterministic:
        make_deterministic()


def _check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise InputError(
                f"callbacks: {callback!r} is no Keras callback; give instances of subclasses of "
                "keras.callbacks.Callback"
            )


def _new_folder() -> Path:
    return Path("saved_models") / datetime.now().strftime("run-%Y%m%d-%H%M%S")


def _same_data(run: Run, data: Path | str | Dataset) -> bool:
    """Whether a finished run was trained on files of this place."""
    if not run.finished or (isinstance(data, Dataset) and not data.on_disk):
        return False
    try:
        summary = parse_json((run.path / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    root = data.root if isinstance(data, Dataset) else open_layout(data).root
    return str(root) == summary.get("data")


def settings_with_cases(
    run: Run | None, config: RunConfig, data: Path | str | Dataset
) -> RunConfig:
    """The settings of a training: the run's; of a new run ``config`` with the data set's cases."""
    cases = data.table if isinstance(data, Dataset) else find_cases(open_layout(data))
    if run is None:
        if config.cases not in (CHALLENGE, cases):
            raise InputError(f"cases: the data set decides; write {CASES_FILE} into {data}")
        return dataclasses.replace(config, cases=cases)
    if cases != run.config.cases:
        raise InputError(
            f"{run.path}: was made with other cases than those of {data}; choose another --run"
        )
    return run.config


def _existing_run(folder: Path, config: RunConfig | None, resume: bool) -> Run | None:
    """The run of a folder, to be continued; None where the folder is empty or missing."""
    if is_vacant(folder):
        if resume:
            raise InputError(f"{folder}: there is no run to resume; leave --resume out")
        check_folder(folder)
        return None
    if not (folder / CONFIG).exists():
        raise InputError(
            f"{folder}: holds other files and no run; choose a new or an empty folder for --run"
        )
    run = Run.open(folder)
    run.restore()
    others = part_holders(folder)
    if not run.finished and not resume and not others:
        raise InputError(f"{folder}: an unfinished run; add --resume or choose another --run")
    if config is None:
        return run
    wanted = dataclasses.replace(config, cases=run.config.cases)
    if others and wanted != run.config:
        raise InputError(
            f"{folder}: its cases are being trained with other settings; leave the options out"
        )
    return run.changed(wanted)


def _write_data_summary(run: Run, dataset: Dataset) -> None:
    counts = {
        str(case): {"pairs": len(dataset.simulator(case)), "fab": len(dataset.fab(case))}
        for case in dataset.cases
    }
    summary = {"data": str(dataset.root), "cases": counts, "skipped": len(dataset.skipped)}
    (run.path / DATA).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with (run.path / "skipped.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason"])
        writer.writerows((bad.path, bad.reason) for bad in dataset.skipped)


def _check_batches(config: RunConfig, strategy: tf.distribute.Strategy) -> None:
    """Raise InputError before anything is made: the classifier's first step comes after hours."""
    if config.adaptation.xla and strategy.num_replicas_in_sync > 1:
        raise InputError("adaptation.xla: works on one device only; set it to false")
    if adapter.trained(config.adaptation):
        check_replicas(config.adaptation, strategy)
    check_batch(classification.BATCH, config.classification.batch, strategy)
