"""What an estimator is made of, read from a run folder."""

from collections.abc import Mapping
from pathlib import Path

from semtf.classification.batchnorm_folding import folded
from semtf.classification.classifier import Classifier
from semtf.config import Align, IndexChoice
from semtf.distribution import grow_memory, make_deterministic
from semtf.estimation.averaging import Average
from semtf.estimation.intervals import Intervals
from semtf.estimation.joint import ErrorPatterns
from semtf.estimation.maxima import Maxima
from semtf.estimation.models import EstimatorModels
from semtf.estimation.preparation import read_limit
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import load_retriever
from semtf.retrieval.storage import Storage
from semtf.run import Run


def load_models(
    run: Run,
    index: IndexChoice | None = None,
    align: Align | None = None,
    recall: float | None = None,
) -> EstimatorModels:
    """The classifier and retrievers of a run; arguments as those of `semtf.load`."""
    grow_memory()
    if run.config.deterministic:
        make_deterministic()
    run.check()
    with run.explaining_damage():
        return _read_models(run, index, align, recall)


def _read_models(
    run: Run, index: IndexChoice | None, align: Align | None, recall: float | None
) -> EstimatorModels:
    classifier = Classifier.load(run.classifier)
    folders = {case: run.storage(case) for case in run.cases}
    retrievers = {
        case: _retriever(run, folder, index, align, recall) for case, folder in folders.items()
    }
    return EstimatorModels(
        classifier=folded(classifier.model),
        cases=classifier.cases,
        temperature=classifier.temperature,
        threshold=classifier.threshold,
        retrievers=retrievers,
        limits={case: read_limit(folder) for case, folder in folders.items()},
        maxima=Maxima.around(map(Maxima.load, folders.values())),
        intervals=intervals(run),
        averages=_averages(folders, retrievers),
        errors=error_patterns(run),
        blend=run.config.classification.blend,
    )


def error_patterns(run: Run) -> dict[int, ErrorPatterns]:
    """How the errors of pixels go together, by case, where a run knows it."""
    by_case = {case: ErrorPatterns.load(run.storage(case)) for case in run.cases}
    return {case: loaded for case, loaded in by_case.items() if loaded is not None}


def _averages(
    folders: Mapping[int, Path], retrievers: Mapping[int, Retriever]
) -> dict[int, Average]:
    """How the estimators of a run's cases are averaged, where there are several."""
    by_case = {
        case: Average.load(folder, retrievers[case].pixels.plate)
        for case, folder in folders.items()
    }
    return {case: loaded for case, loaded in by_case.items() if loaded is not None}


def intervals(run: Run) -> dict[int, Intervals]:
    """The calibrated intervals of a run's cases, where there are any."""
    by_case = {case: Intervals.load(run.storage(case)) for case in run.cases}
    return {case: loaded for case, loaded in by_case.items() if loaded is not None}


def _retriever(
    run: Run,
    folder: Path,
    index: IndexChoice | None,
    align: Align | None,
    recall: float | None,
) -> Retriever:
    storage = Storage.open(folder)
    retriever = load_retriever(folder, storage, index)
    if align is not None and align != retriever.config.align:
        retriever = retriever.with_alignment(align, run.config.seed)
    if recall is not None:
        retriever = retriever.with_recall(recall, run.config.seed)
    return retriever
