"""A retriever on disk: JSON and ``.npy`` files beside the storage that it searches."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semtf.config import IndexChoice, RetrievalConfig
from semtf.errors import InputError
from semtf.formats import migrated, stamped
from semtf.json_fields import parse_json
from semtf.retrieval.coordinates import Coordinates
from semtf.retrieval.embeddings import embeddings_per_pair
from semtf.retrieval.index import EMBEDDINGS
from semtf.retrieval.index_kind import index_class
from semtf.retrieval.pixels import Pixels
from semtf.retrieval.projection import PCA
from semtf.retrieval.retriever import Retriever, build_index
from semtf.retrieval.storage import Storage

SETTINGS = "retrieval.json"
NORMS = "lengths.npy"
PIXEL_WEIGHTS = "pixel_weights.npy"


def save_retriever(retriever: Retriever, folder: str | Path) -> None:
    """Write ``retrieval.json`` and ``.npy`` files; ScaNN's state goes into ``scann/``."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    retriever.pca.save(folder)
    retriever.index.save(folder)
    np.save(folder / NORMS, retriever.pixels.norms.numpy(), allow_pickle=False)
    pixel_weights = retriever.coordinates.pixel_weights.numpy()
    np.save(folder / PIXEL_WEIGHTS, pixel_weights, allow_pickle=False)
    document = stamped("index", dataclasses.asdict(retriever.config))
    text = json.dumps(document, indent=2)
    (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")


def load_retriever(
    folder: str | Path, storage: Storage, index: IndexChoice | None = None
) -> Retriever:
    """Read what `save_retriever` wrote.

    Args:
        folder: where it was written.
        storage: the storage it was built on.
        index: the kind of index to search with. None for the kind it was built with; one built
            with ScaNN is searched exactly where ScaNN does not load, as with ``"auto"``.

    Raises:
        InputError: the folder is none, it does not fit the storage, or ``index="scann"`` and
            ScaNN does not load.
    """
    folder = Path(folder)
    try:
        config = _read_settings(folder)
        pca = PCA.load(folder)
        norms = np.load(folder / NORMS, allow_pickle=False)
        pixel_weights = np.load(folder / PIXEL_WEIGHTS, allow_pickle=False)
        choice = index or ("exact" if config.index == "exact" else "auto")
        built = index_class(choice).load(folder)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder}: not a retrieval folder ({error}); train the run again"
        ) from error
    if len(norms) != len(storage):
        raise InputError(
            f"{folder}: built on {len(norms)} pairs, but the storage holds {len(storage)}; "
            "build the index again"
        )
    config = dataclasses.replace(config, index=choice)
    coordinates = Coordinates(pca, pixel_weights)
    return Retriever(storage, config, pca, built, Pixels(storage, config, norms), coordinates)


def _read_settings(folder: Path) -> RetrievalConfig:
    document = parse_json((folder / SETTINGS).read_text("utf-8"))
    return RetrievalConfig(**migrated("index", document, str(folder / SETTINGS)))


def save_some_pairs(
    folder: Path, target: Path, pairs: npt.NDArray[np.intp], seed: int, index: IndexChoice | None
) -> None:
    """Write the storage and the retriever of some pairs of those in ``folder``.

    Projection, weights of the pixels and settings stay; the index is built on those pairs. Only
    they are read.

    Args:
        folder: a storage with what `save_retriever` wrote.
        target: where the new one goes.
        pairs: positions in the storage, at least one.
        seed: picks the sample that an approximate index is tuned with.
        index: the kind of index; as in the settings where None.
    """
    storage, config, pca = Storage.open(folder), _read_settings(folder), PCA.load(folder)
    config = dataclasses.replace(config, index=index or config.index)
    some = Storage.create(
        target,
        case=storage.case,
        keys=storage.keys[pairs],
        values=storage.values[pairs],
        names=storage.names[pairs],
    )
    stored = np.load(folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    by_pair = stored.reshape(len(storage), embeddings_per_pair(config), -1)
    embeddings = by_pair[pairs].reshape(-1, stored.shape[1])
    norms = np.load(folder / NORMS, mmap_mode="r", allow_pickle=False)[pairs]
    weights = np.load(folder / PIXEL_WEIGHTS, allow_pickle=False)
    built = build_index(embeddings, some, config, pca, seed)
    pixels, coordinates = Pixels(some, config, norms), Coordinates(pca, weights)
    save_retriever(Retriever(some, config, pca, built, pixels, coordinates), target)
