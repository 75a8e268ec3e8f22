"""Make a storage ready for estimation: index, weights, intervals and what is usual."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.config import RunConfig
from semtf.data.image_sets import FabSet
from semtf.errors import InputError
from semtf.estimation.averaging import ESTIMATORS, Average, choose_average
from semtf.estimation.calibration import calibrate
from semtf.estimation.intervals import INTERVALS, Intervals
from semtf.estimation.joint import ERRORS, SCALES, ErrorPatterns
from semtf.estimation.maxima import MAXIMA, Maxima
from semtf.estimation.measurement_scales import with_scales
from semtf.estimation.models import EstimatorModels
from semtf.estimation.regression import COEFFICIENTS, COMPONENTS
from semtf.json_fields import parse_json
from semtf.noise.model import NOISE, OFFSET, PATTERNS, NoiseModel
from semtf.noise.sampling import mean_patterns
from semtf.retrieval.held_out import find_noise
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import save_retriever
from semtf.retrieval.storage import Storage
from semtf.retrieval.tuning import WeightTrial, tune

LIMIT = "similarity.json"
TRIALS = "tuning.json"
FITTED = (
    LIMIT, MAXIMA, TRIALS, INTERVALS, NOISE, OFFSET, PATTERNS, ESTIMATORS, COMPONENTS, COEFFICIENTS,
    ERRORS, SCALES,
)  # fmt: skip
"""Files beside a storage that hold what was fitted to it, and stay when pairs are added."""
FAB_IMAGES = 400
BATCH = 256
QUERIES = 512
"""Held-out queries that the share of the regression and the intervals are found with."""
# One pair alone leaves nothing to estimate it from.
FEWEST_PAIRS = 2


class Prepared(NamedTuple):
    """What is fitted to a storage.

    Attributes:
        retriever: with the chosen weights.
        trials: the weights that were compared, the chosen ones first; none without tuning.
        noise: that of the fab; this and what follows is None where there is one pair alone.
        average: how retrieval and regression are averaged; None where nothing is tuned.
        intervals: calibrated.
        errors: how those of the pixels go together.
    """

    retriever: Retriever
    trials: list[WeightTrial]
    noise: NoiseModel | None = None
    average: Average | None = None
    intervals: Intervals | None = None
    errors: ErrorPatterns | None = None


def read_prepared(models: EstimatorModels, case: int, folder: Path) -> Prepared:
    """What training fitted to a storage of a run, but for the weights that it compared.

    Args:
        models: of the run.
        case: of the storage.
        folder: of the storage.
    """
    return Prepared(
        models.retrievers[case],
        [],
        NoiseModel.load(folder),
        models.averages.get(case),
        models.intervals.get(case),
        models.errors.get(case),
    )


def prepare(storage: Storage, fab: FabSet, config: RunConfig, folder: Path) -> None:
    """Index a storage and fit to it all that an estimate needs.

    Writes the index, ``tuning.json`` (how weights compare), ``noise.json``, the regression,
    ``similarity.json``, ``maxima.json``, ``intervals.json``, ``error_patterns.npy`` and
    ``measurement_scales.json``.

    Args:
        storage: of one case, in ``folder``.
        fab: the fab's images of that case.
        config: the run's settings.
        folder: where all is written.
    """
    retriever = Retriever.build(storage, config.retrieval, config.seed)
    prepared = fitted(retriever, fab, config)
    if prepared.trials:
        text = json.dumps([trial._asdict() for trial in prepared.trials], indent=1)
        (folder / TRIALS).write_text(text + "\n", encoding="utf-8")
    for part in prepared[2:]:
        if part is not None:
            part.save(folder)
    save_retriever(prepared.retriever, folder)
    images = fab_sample(fab, config.seed)
    write_limit(prepared.retriever, images, folder)
    Maxima.of(images.max(axis=(1, 2))).save(folder)


def fitted(retriever: Retriever, fab: FabSet, config: RunConfig) -> Prepared:
    """Fit weights, the fab's noise, the regression and the intervals, without labels.

    Where estimators are averaged and calibrated, held-out queries have the fab's noise and each
    another error of the keys' mean image: what few sites leave unknown of it is an error that all
    keys share.

    Without ``retrieval.tune`` the weights stay as the settings say, and they alone make the
    estimate.

    Args:
        retriever: of one case, as `Retriever.build` makes it.
        fab: the fab's images of that case; up to 400 are looked at one by one.
        config: the run's settings.
    """
    seed, count = config.seed, len(retriever.storage)
    trials: list[WeightTrial] = []
    if count < FEWEST_PAIRS:
        return Prepared(retriever, trials)
    images = fab_sample(fab, seed)
    noise = find_noise(retriever, images, seed)
    if config.retrieval.tune:
        # An error that all keys share only blurs how weights differ.
        retriever, trials = tune(retriever, images, noise, seed)
    storage = retriever.storage
    unsure = mean_patterns((fab.images, fab.sites), (storage.keys, storage.measurements[0]))
    doubted = noise.with_patterns(unsure)
    pairs = np.random.default_rng(seed).permutation(count)[:QUERIES]
    average, estimates = choose_average(retriever, doubted, pairs, images, seed)
    if not config.retrieval.tune:
        average = average.retrieval_alone()
    intervals = calibrate(retriever, average, estimates)
    combined = estimates.combined(average.share)
    depth = combined.depth.numpy()
    sigma = intervals.sigma(combined, tf.constant(estimates.similarity)).numpy()
    errors = ErrorPatterns.of(estimates.truth - depth, sigma)
    errors = with_scales(errors, depth, sigma, estimates.truth)
    return Prepared(retriever, trials, noise, average, intervals, errors)


def fab_sample(fab: FabSet, seed: int) -> npt.NDArray[np.uint8]:
    """Up to 400 of a case's fab images: what the fitting of a storage needs of them."""
    chosen = np.random.default_rng(seed).permutation(len(fab))[:FAB_IMAGES]
    return np.asarray(fab.images[np.sort(chosen)])


def write_limit(retriever: Retriever, images: npt.NDArray[np.uint8], folder: Path) -> None:
    """Write how similar the fab's own images are to the storage, for the flag of unlike images.

    The limit is the 0.5 % quantile of the images' highest similarity, less half of its distance
    from the median, so that it flags what the fab does not normally show.
    """
    starts = range(0, len(images), BATCH)
    highest = [retriever.search(images[s : s + BATCH], 1).similarity[:, 0] for s in starts]
    low, median = np.quantile(np.concatenate(highest), [0.005, 0.5])
    limit = {"limit": float(low - 0.5 * (median - low)), "median": float(median)}
    (folder / LIMIT).write_text(json.dumps(limit, indent=2) + "\n", encoding="utf-8")


def read_limit(folder: Path) -> float:
    """The similarity below which an image is unlike the storage."""
    try:
        return float(parse_json((folder / LIMIT).read_text(encoding="utf-8"))["limit"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / LIMIT}: cannot be read ({error}); train again") from error
