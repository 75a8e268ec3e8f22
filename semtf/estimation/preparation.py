"""Make a storage ready for estimation: index, weights, intervals and what is usual."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.config import RunConfig
from semtf.errors import InputError
from semtf.estimation.calibration import calibrate
from semtf.estimation.maxima import Maxima
from semtf.retrieval.retriever import Retriever
from semtf.retrieval.retriever_files import save_retriever
from semtf.retrieval.storage import Storage
from semtf.retrieval.tuning import tune

LIMIT = "similarity.json"
TRIALS = "tuning.json"
FAB_IMAGES = 400
BATCH = 256
# One pair alone leaves nothing to estimate it from.
FEWEST_PAIRS = 2


def prepare(
    storage: Storage, images: npt.NDArray[np.uint8], config: RunConfig, folder: Path
) -> None:
    """Index a storage and fit to it all that an estimate needs.

    Writes the index, ``tuning.json`` (how weights compare), ``similarity.json``,
    ``maxima.json`` and ``intervals.json``.

    Args:
        storage: of one case, in ``folder``.
        images: the fab's images of that case ``[n, H, W]``; up to 400 of them are used.
        config: the run's settings.
        folder: where all is written.
    """
    seed = config.seed
    images = fab_sample(images, seed)
    retriever = Retriever.build(storage, config.retrieval, seed)
    if len(storage) >= FEWEST_PAIRS:
        if config.retrieval.tune:
            retriever, trials = tune(retriever, images, seed)
            text = json.dumps([trial._asdict() for trial in trials], indent=1)
            (folder / TRIALS).write_text(text + "\n", encoding="utf-8")
        calibrate(retriever, images, seed).save(folder)
    save_retriever(retriever, folder)
    write_limit(retriever, images, folder)
    Maxima.of(images.max(axis=(1, 2))).save(folder)


def fab_sample(images: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Up to 400 of a case's fab images: what the fitting of a storage needs of them."""
    chosen = np.random.default_rng(seed).permutation(len(images))[:FAB_IMAGES]
    return np.asarray(images[np.sort(chosen)])


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
        return float(json.loads((folder / LIMIT).read_text(encoding="utf-8"))["limit"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder / LIMIT}: cannot be read ({error}); train again") from error
