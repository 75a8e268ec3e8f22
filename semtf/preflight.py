"""The needs of a training, checked before it starts."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semtf.adapter_table import ADAPTERS, AUTO
from semtf.backend.sets import require_addons
from semtf.classification import train as classification
from semtf.classification.classifier import NETWORKS
from semtf.classification.efficientnet import keras_cv
from semtf.classification.folds import stratified_folds
from semtf.config import RunConfig
from semtf.data.dataset import Dataset
from semtf.disk import require_room
from semtf.estimation.joint import PATTERNS
from semtf.estimation.regression import DIMENSIONS
from semtf.retrieval.index_kind import resolve_index
from semtf.retrieval.scann_operations import scann_operations

# Trainable numbers of two generators and two critics over the square of their width, measured.
WEIGHTS_A_SQUARE_WIDTH = 800
CLASSIFIER_WEIGHTS = {"efficientnet_b0": 4_100_000, "small": 200_000, "statistics": 1000}
# Weights, and two checkpoints (one while the next is written) with two slots of the optimizer and
# two averages each.
COPIES = 1 + 2 * 5
# ScaNN's own tables, four bits of two dimensions each and the leaf, over float32 embeddings.
SCANN_SHARE = 0.1
OTHER_BYTES = 8 << 20


def check_environment(config: RunConfig, cases: int, classifier_weights: Path | None) -> None:
    """Load what the settings need.

    Args:
        config: the settings of the run.
        cases: how many cases the classifier tells apart.
        classifier_weights: file of published weights to start the classifier from.

    Raises:
        InputError: ScaNN, KerasCV or, in the classic set, TensorFlow Addons cannot be loaded, or
            the weights do not fit.
    """
    require_addons()
    settings = config.classification
    if resolve_index(config.retrieval.index) == "scann":
        scann_operations()
    if settings.backbone == "efficientnet_b0":
        keras_cv()
    if classifier_weights is not None:
        network = NETWORKS[settings.backbone]
        model = network(config.image.shape, cases, **classification.network_settings(settings))
        classification.start_from(model, classifier_weights, settings)


def check_data(
    config: RunConfig, dataset: Dataset, folder: Path, new_cases: Sequence[int], folds: int | None
) -> None:
    """Find out whether a data set suffices and the disk has room for the run.

    Args:
        config: the settings of the run.
        dataset: what it trains on.
        folder: the run folder; it need not exist.
        new_cases: the cases that are not stored yet.
        folds: folds of sites to cross-validate over, if any.

    Raises:
        InputError: a case has fewer sites than folds, or there is too little room.
    """
    if folds is None and config.classification.hold_out == "fold":
        folds = config.classification.folds
    if folds is not None:
        fabs = [dataset.fab(case) for case in dataset.cases]
        cases = np.repeat(dataset.cases, [len(fab) for fab in fabs])
        sites = np.concatenate([fab.sites for fab in fabs])
        stratified_folds(cases, sites, folds, config.seed)
    storages = sum(storage_bytes(config, len(dataset.simulator(case))) for case in new_cases)
    require_room(folder, storages + network_bytes(config, len(new_cases)), "the run")


def check_extension(config: RunConfig, folder: Path, pairs: Sequence[tuple[int, int]]) -> None:
    """Find out whether pairs can be added to a run.

    Args:
        config: the settings of the run.
        folder: the run folder.
        pairs: how many each case has, and how many may come to it.

    Raises:
        InputError: ScaNN cannot be loaded, or there is too little room.
    """
    if resolve_index(config.retrieval.index) == "scann":
        scann_operations()
    # A case's old storage goes when its new one is complete.
    old_storage = max(storage_bytes(config, old) for old, _ in pairs)
    new_pairs = sum(storage_bytes(config, new) for _, new in pairs)
    require_room(folder, old_storage + new_pairs, "the longer storage")


def storage_bytes(config: RunConfig, pairs: int) -> int:
    """About how many bytes the storage and index of one case take."""
    retrieval = config.retrieval
    shifts = (2 * retrieval.shift + 1) ** 2
    embeddings = 1 if retrieval.align == "centre" else shifts
    pixels = math.prod(config.image.shape)
    dimensions = min(retrieval.dimensions, pixels)
    # Of the embeddings, and of the regression with its coefficients; patterns of errors.
    pictures = dimensions + 2 * min(DIMENSIONS, pairs) + PATTERNS
    embedding_bytes = 4 * dimensions
    if resolve_index(retrieval.index) == "scann":
        embedding_bytes = math.ceil((1 + SCANN_SHARE) * embedding_bytes)
    return 4 * pictures * pixels + pairs * (2 * pixels + embeddings * embedding_bytes + 4 * shifts)


def network_bytes(config: RunConfig, cases: int) -> int:
    """About how many bytes the networks and checkpoints of a run take at most."""
    adaptation = config.adaptation
    names = adaptation.candidates if adaptation.adapter == AUTO else (adaptation.adapter,)
    networks = sum(name in ADAPTERS and ADAPTERS[name].trained for name in names)
    adapters = cases * networks * WEIGHTS_A_SQUARE_WIDTH * adaptation.width**2
    classifier = CLASSIFIER_WEIGHTS[config.classification.backbone]
    return 4 * COPIES * (adapters + classifier) + OTHER_BYTES
