"""The storage of a run spread over folders, for storages that one machine cannot hold.

::

    head/               a run with one pair a case: classifier, settings, all that was fitted
    head/shards.json    how many pairs each part has
    part-000/case_K/    storage and index of the pairs that belong there, and their positions
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from semtf.cases import case_numbers
from semtf.errors import InputError
from semtf.estimation.preparation import FITTED
from semtf.json_fields import parse_json
from semtf.manifest import PARTIAL
from semtf.outputs import check_folder, give_name, is_unused
from semtf.retrieval.embeddings import embeddings_per_pair
from semtf.retrieval.merging import Found, storage_of
from semtf.retrieval.retriever import Retriever, SearchSize
from semtf.retrieval.retriever_files import load_retriever, save_some_pairs
from semtf.retrieval.storage import Storage
from semtf.run import Run

HEAD, SHARDS, POSITIONS = "head", "shards.json", "positions.npy"


def shard_run(run: Path | str | Run, count: int, out: Path) -> dict[int, list[int]]:
    """Spread the pairs of a run over folders, each with its index.

    Args:
        run: a trained run; it stays as it is.
        count: how many folders.
        out: the folder for them all.

    Returns:
        By case, the pairs of each folder.

    Raises:
        InputError: the run is not trained, or ``out`` is in use.
    """
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{opened.path}: not trained to the end; go on with semtf-train --resume")
    opened.check()
    if not is_unused(out):
        raise InputError(f"{out}: exists and is not empty; choose another --out")
    check_folder(out)
    built = out.resolve().with_name(out.resolve().name + PARTIAL)
    shutil.rmtree(built, ignore_errors=True)
    counts = {case: _spread(opened, case, count, built) for case in opened.cases}
    _write_head(opened, built / HEAD, counts)
    give_name(built, out)
    return counts


def _spread(run: Run, case: int, count: int, built: Path) -> list[int]:
    """Write the pairs of a case into the folders that they belong to; how many are in each."""
    folder = run.storage(case)
    storage = Storage.open(folder)
    owner = storage_of(storage.names, count)
    for i in range(count):
        pairs = np.flatnonzero(owner == i)
        target = built / part_name(i) / f"case_{case}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(pairs):
            save_some_pairs(folder, target, pairs, run.config.seed, None)
            np.save(target / POSITIONS, pairs.astype(np.int64), allow_pickle=False)
    return np.bincount(owner, minlength=count).tolist()


def _write_head(run: Run, head: Path, counts: Mapping[int, list[int]]) -> None:
    """Write the run with one pair a case.

    That pair shows the plate at its brightest, so that the plate's level, which is the largest
    value of a storage, is that of all pairs.
    """
    shutil.copytree(
        run.path, head, ignore=shutil.ignore_patterns("storage", "cases", "report.html")
    )
    for case in run.cases:
        folder, target = run.storage(case), head / "storage" / f"case_{case}"
        values = Storage.open(folder).values
        brightest = int(np.argmax([image.max() for image in values]))
        save_some_pairs(folder, target, np.array([brightest]), run.config.seed, "exact")
        for name in FITTED:
            if (folder / name).exists():
                shutil.copy(folder / name, target)
    (head / SHARDS).write_text(json.dumps({"pairs": counts}, indent=1) + "\n", encoding="utf-8")
    Run.open(head).finish()


def part_name(i: int) -> str:
    """The name of a part's folder."""
    return f"part-{i:03d}"


def is_sharded(folder: Path) -> bool:
    """Whether a folder is what `shard_run` writes."""
    return (folder / HEAD / SHARDS).is_file()


def part_folders(folder: Path) -> list[Path]:
    """The folders of the parts; raises InputError where one is missing."""
    counts = pair_counts(folder)
    parts = [folder / part_name(i) for i in range(len(next(iter(counts.values()))))]
    for part in parts:
        if not part.is_dir():
            raise InputError(f"{part}: is missing; run semtf shard anew")
    return parts


def pair_counts(folder: Path) -> dict[int, list[int]]:
    """By case, the pairs of each part."""
    path = folder / HEAD / SHARDS
    try:
        pairs = parse_json(path.read_text(encoding="utf-8"))["pairs"]
        return {int(case): [int(count) for count in counts] for case, counts in pairs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run semtf shard anew") from error


class Pairs(NamedTuple):
    """Pairs as a part holds them.

    Attributes:
        position: int64 ``[n]``, among those of all parts.
        keys, values: uint8 ``[n, H, W]``.
        names: str ``[n]``.
        norms: float32 ``[n, S]``.
        embeddings: float32 ``[n, S, d]``, or ``[n, 1, d]`` with centred keys.
    """

    position: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint8]
    values: npt.NDArray[np.uint8]
    names: npt.NDArray[np.str_]
    norms: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]


class StoragePart:
    """One part of a storage: it is searched, and gives out the pairs that were found.

    Args:
        folder: of the part.
    """

    def __init__(self, folder: Path) -> None:
        self._retrievers: dict[int, Retriever] = {}
        self._positions: dict[int, npt.NDArray[np.int64]] = {}
        for target in sorted(folder.glob("case_*")):
            storage = Storage.open(target)
            self._retrievers[storage.case] = load_retriever(target, storage)
            self._positions[storage.case] = np.load(target / POSITIONS, allow_pickle=False)

    def names(self, case: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
        """Positions and names of the pairs of a case."""
        if case not in self._retrievers:
            return np.zeros(0, np.int64), np.zeros(0, np.str_)
        return self._positions[case], self._retrievers[case].storage.names

    def search(self, case: int, queries: npt.NDArray[np.float32], size: SearchSize) -> Found:
        """The best pairs here for queries ``[q, d]``; fewer columns where fewer are here."""
        if case not in self._retrievers:
            none = (len(queries), 0)
            return Found(np.zeros(none, "f4"), np.zeros(none, "i8"), np.zeros(none, "i4"))
        retriever, positions = self._retrievers[case], self._positions[case]
        wanted = min(size.wanted, len(positions))
        group_size = embeddings_per_pair(retriever.config)
        product, embedding = retriever.index.search_groups(
            tf.constant(queries),
            wanted,
            group_size,
            max(size.num_candidates, wanted),
            min(size.min_groups, wanted),
        )
        found = embedding.numpy()
        return Found(product.numpy(), positions[found // group_size], found % group_size)

    def pairs(self, case: int, positions: npt.NDArray[np.int64]) -> Pairs | None:
        """Those of the pairs that are here; None where none is."""
        if case not in self._retrievers:
            return None
        retriever, own = self._retrievers[case], self._positions[case]
        here = np.flatnonzero(np.isin(own, positions))
        if not len(here):
            return None
        storage, size = retriever.storage, embeddings_per_pair(retriever.config)
        rows = here[:, None] * size + np.arange(size)
        return Pairs(
            own[here],
            storage.keys[here],
            storage.values[here],
            storage.names[here],
            tf.gather(retriever.pixels.norms, here).numpy(),
            tf.gather(retriever.index.embeddings, rows).numpy(),
        )


def head_run(folder: Path) -> Run:
    """The run with one pair a case; raises InputError where cases and parts do not fit."""
    run = Run.open(folder / HEAD)
    if set(pair_counts(folder)) - set(case_numbers(run.config.cases)):
        raise InputError(f"{folder}: its parts are of another run; run semtf shard anew")
    return run
