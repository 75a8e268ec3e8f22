"""More simulator pairs for a trained run, without training anything."""

import shutil
from pathlib import Path

import numpy as np

from semtf.data.dataset import open_dataset
from semtf.data.image_sets import SimulatorSet
from semtf.disk import explain_full_disk
from semtf.distribution import grow_memory
from semtf.errors import InputError
from semtf.estimation.preparation import FITTED
from semtf.lock import lock_folder
from semtf.outputs import protect
from semtf.pipeline import settings_with_cases
from semtf.preflight import check_extension
from semtf.retrieval.retriever_files import load_retriever, save_retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run
from semtf.stages import adapted_keys


def add_pairs(
    run: Path | str | Run, data: Path | str, *, skip_bad: bool = False, cache: Path | None = None
) -> dict[int, int]:
    """Append the simulator pairs of a data set to the storage of a run.

    The run's adapter, projection, weights, intervals and similarity limit and maxima stay; the new
    pairs are adapted and projected, and the index is built anew. A case is replaced when its new
    storage is complete, so an interruption loses nothing, and pairs that are stored already are
    left out: the same call goes on.

    Args:
        run: a trained run.
        data: folder in the challenge's layout, or its zip file; it needs no fab images.
        skip_bad: leave bad images out.
        cache: where the packed images are kept.

    Returns:
        How many pairs were added to each case.

    Raises:
        InputError: the run is not trained, another process writes to it, or bad data.
        TrainingError: the disk is full.
    """
    grow_memory()
    opened = Run.open(run)
    with (
        lock_folder(opened.path, "extended"),
        explain_full_disk(opened.path, "the same command goes on"),
    ):
        opened.restore()
        if not opened.cases or not opened.classifier.is_dir():
            raise InputError(
                f"{opened.path}: not trained to the end; go on with semtf-train --resume"
            )
        settings_with_cases(opened, opened.config, data)
        protect(opened.replaced, [data])
        size = opened.config.image.shape
        dataset = open_dataset(
            data, cases=opened.cases, cache=cache, skip_bad=skip_bad, size=size, pairs_only=True
        )
        pairs = [
            (len(Storage.open(opened.storage(case))), len(dataset.simulator(case)))
            for case in opened.cases
        ]
        check_extension(opened.config, opened.path, pairs)
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
        retriever = load_retriever(folder, storage).extended(longer, run.config.seed)
        save_retriever(retriever, partial)
        for name in FITTED:
            if (folder / name).exists():
                shutil.copy(folder / name, partial)
    return len(new)
