"""Train everything for the chosen cases, into one run folder."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from semtf.adaptation import adapter
from semtf.adaptation.base import Adapter
from semtf.classification import train as classification
from semtf.classification.classifier import Classifier
from semtf.config import CASES, RunConfig, preset
from semtf.data.dataset import Dataset, SimulatorSet, open_dataset, open_images
from semtf.distribution import choose_strategy
from semtf.errors import InputError
from semtf.estimation.preparation import LIMIT, TRIALS, prepare
from semtf.estimation.uncertainty import INTERVALS
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run


def train(
    data: Path | str,
    case: int | str = "all",
    *,
    run: Path | str | None = None,
    config: RunConfig | None = None,
    fab: Mapping[int, Path] | None = None,
    range16: tuple[float, float] | None = None,
    classifier_weights: Path | None = None,
    folds: int | None = None,
    resume: bool = False,
    skip_bad: bool = False,
    cache: Path | None = None,
    watch: Callable[[int, int, Adapter], None] | None = None,
) -> Run:
    """Train adaptation, storage and classifier of the chosen cases.

    Case 1 comes first; the others start from its weights where the run has them.

    Args:
        data: folder in the challenge's layout, or the zip file of one.
        case: 1 to 4, or ``"all"``.
        run: the run folder; a new one in ``saved_models`` where None. An existing run gets the
            cases that it does not have yet.
        config: the settings; of an existing run its own, of a new run those of ``quick``, where
            None.
        fab: by case, plain folders of PNG or TIFF images to take as fab images in place of
            those in ``data``.
        range16: the values of 16-bit images in those folders that become 0 and 255.
        classifier_weights: file of published EfficientNet-B0 weights to start the classifier from.
        folds: also cross-validate the classifier over that many folds of sites; the accuracies go
            into ``classifier/folds.json``.
        resume: go on with a run that was interrupted.
        skip_bad: leave bad images out and list them in the run folder's ``skipped.csv``.
        cache: where the packed images are kept.
        watch: called after every epoch of a trained adapter, with the case, the number of epochs
            so far and the adapter as it is then.

    Returns:
        The finished run.

    Raises:
        InputError: bad data or options, or the run exists and does not fit them.
    """
    folder = Path(run) if run is not None else _new_name()
    cases = _chosen(case)
    opened = _open(folder, config, resume)
    have = opened.cases if opened else ()
    if opened and not resume and set(cases) <= set(have):
        raise InputError(f"{folder}: has case {case} already; choose another --run")
    settings = opened.config if opened else config or preset("quick")
    dataset = open_dataset(
        data,
        cases=sorted({*have, *cases}),
        fab={
            number: open_images(path, size=settings.image.shape, skip_bad=skip_bad, range16=range16)
            for number, path in (fab or {}).items()
        },
        cache=cache,
        skip_bad=skip_bad,
        size=settings.image.shape,
    )
    current = opened or Run.create(folder, settings)
    current.begin()
    _note_data(current, dataset)
    for number in dataset.cases:
        _train_case(current, dataset, number, watch)
    _train_classifier(current, dataset, classifier_weights, folds, resume)
    current.finish()
    return current


def add_pairs(
    run: Path | str, data: Path | str, *, skip_bad: bool = False, cache: Path | None = None
) -> dict[int, int]:
    """Append the simulator pairs of a data set to the storage of a run.

    The run's adapter, projection, weights, intervals and similarity limit stay; the new pairs are
    adapted and projected, and the index is built anew. A case is replaced when its new storage is
    complete, so an interruption loses nothing, and pairs that are stored already are left out:
    the same call goes on.

    Args:
        run: a trained run.
        data: folder in the challenge's layout, or its zip file; it needs no fab images.
        skip_bad: leave bad images out.
        cache: where the packed images are kept.

    Returns:
        How many pairs were added to each case.

    Raises:
        InputError: the run is not trained, or bad data.
    """
    opened = Run.open(run)
    opened.restore()
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{run}: not trained to the end; go on with semtf-train --resume")
    size = opened.config.image.shape
    dataset = open_dataset(
        data, cases=opened.cases, cache=cache, skip_bad=skip_bad, size=size, pairs_only=True
    )
    opened.begin()
    added = {case: _extend(opened, dataset.simulator(case)) for case in opened.cases}
    opened.finish()
    return added


def _extend(run: Run, simulator: SimulatorSet) -> int:
    folder = run.storage(simulator.case)
    storage = Storage.open(folder)
    new = simulator.subset(~np.isin(simulator.bases, storage.names))
    if len(new) == 0:
        return 0
    with run.stage(folder, empty=True) as partial:
        longer = storage.extended(
            partial, keys=adapted_keys(run, new), values=np.asarray(new.depth), names=new.bases
        )
        Retriever.load(folder, storage).extended(longer, run.config.seed).save(partial)
        for name in (LIMIT, TRIALS, INTERVALS):
            if (folder / name).exists():
                shutil.copy(folder / name, partial)
    return len(new)


def adapted_keys(run: Run, simulator: SimulatorSet) -> np.ndarray:
    """The pairs' SEM images as the run's adapter shows them, uint8 ``[n, H, W]``."""
    folder = run.adaptation(simulator.case)
    loaded = adapter.load(folder, run.config.image, run.config.adaptation)
    return loaded.adapt(simulator.mean_sem())


def _new_name() -> Path:
    return Path("saved_models") / datetime.now().strftime("run-%Y%m%d-%H%M%S")


def _chosen(case: int | str) -> tuple[int, ...]:
    if case == "all":
        return CASES
    if str(case) not in map(str, CASES):
        raise InputError(f"--case {case}: choose 1, 2, 3, 4 or all")
    return (int(case),)


def _open(folder: Path, config: RunConfig | None, resume: bool) -> Run | None:
    """The run of a folder, if it exists and may be gone on with."""
    if not folder.exists():
        if resume:
            raise InputError(f"{folder}: there is no run to resume; leave --resume out")
        return None
    run = Run.open(folder)
    run.restore()
    if not run.finished and not resume:
        raise InputError(f"{folder}: an unfinished run; add --resume or choose another --run")
    if config is not None and config != run.config:
        raise InputError(
            f"{folder}: was made with other settings; leave the options out or choose another --run"
        )
    return run


def _note_data(run: Run, dataset: Dataset) -> None:
    counts = {
        str(case): {"pairs": len(dataset.simulator(case)), "fab": len(dataset.fab(case))}
        for case in dataset.cases
    }
    note = {"data": str(dataset.root), "cases": counts, "skipped": len(dataset.skipped)}
    (run.path / "data.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    with (run.path / "skipped.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason"])
        writer.writerows((bad.path, bad.reason) for bad in dataset.skipped)


def _train_case(
    run: Run, dataset: Dataset, case: int, watch: Callable[[int, int, Adapter], None] | None
) -> None:
    if not run.adaptation(case).is_dir():
        first = run.adaptation(1)
        with run.stage(run.adaptation(case)) as folder:
            adapter.fit(
                adapter.Case(
                    dataset.simulator(case),
                    dataset.fab(case),
                    run.config.image,
                    run.config.adaptation,
                    seed=run.config.seed + case,
                    average_depth=dataset.site_depths(case),
                    strategy=choose_strategy(),
                    watch=partial(watch, case) if watch else None,
                ),
                folder,
                first if case != 1 and first.is_dir() else None,
            )
    if not run.storage(case).is_dir():
        with run.stage(run.storage(case)) as folder:
            _store(run, dataset, case, folder)


def _store(run: Run, dataset: Dataset, case: int, folder: Path) -> None:
    simulator, fab = dataset.simulator(case), dataset.fab(case)
    storage = Storage.create(
        folder,
        case=case,
        keys=adapted_keys(run, simulator),
        values=np.asarray(simulator.depth),
        names=simulator.bases,
    )
    prepare(storage, fab.images, run.config, folder)


def _train_classifier(
    run: Run, dataset: Dataset, weights_file: Path | None, folds: int | None, resume: bool
) -> None:
    if run.classifier.is_dir() and Classifier.load(run.classifier).cases == dataset.cases:
        return
    fabs = [dataset.fab(case) for case in dataset.cases]
    images = np.concatenate([fab.images for fab in fabs])
    cases = np.repeat(dataset.cases, [len(fab) for fab in fabs])
    sites = np.concatenate([fab.sites for fab in fabs])
    config, seed, strategy = run.config.classification, run.config.seed, choose_strategy()
    with run.stage(run.classifier) as folder:
        classification.train(
            images,
            cases,
            sites,
            config,
            seed=seed,
            folder=folder,
            strategy=strategy,
            weights_file=weights_file,
            resume=resume,
        )
        if folds is not None:
            trained, _ = classification.cross_validate(
                images,
                cases,
                sites,
                dataclasses.replace(config, folds=folds),
                seed=seed,
                folder=folder / "folds",
                strategy=strategy,
                weights_file=weights_file,
            )
            accuracy = [classifier.metrics["accuracy"] for classifier in trained]
            note = {"accuracy": accuracy, "mean": float(np.mean(accuracy))}
            (folder / "folds.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
