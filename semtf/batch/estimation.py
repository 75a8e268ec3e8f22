"""What a worker does: one shard after the other, with one estimator. It knows no Ray."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from semtf.batch.location import Location
from semtf.batch.options import BatchOptions
from semtf.batch.parts import Part
from semtf.batch.shard_file import ShardSummary, encode
from semtf.data.decoding import Chunk
from semtf.estimation.result import DepthResult
from semtf.machine import peak_memory


class Estimating(Protocol):
    """The methods of an estimator that a worker needs."""

    shape: tuple[int, int]

    def classify(self, images: Any, sites: Any = None, batch: int = ...) -> Any:
        """Probability of each case."""

    def predict(self, images: Any, probability: Any = None, batch: int = ...) -> DepthResult:
        """Depth maps."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to make.

    Attributes:
        file: where it goes.
        parts: where its images lie.
        sites: the site of each image, where they lie in site folders.
        provenance: what the batch is made from.
    """

    file: Location
    parts: Sequence[Part]
    sites: Sequence[str] | None
    provenance: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.file.path.rpartition("/")[2]

    def __len__(self) -> int:
        return sum(len(part.names) for part in self.parts)


@dataclass(frozen=True)
class ShardDone:
    """A shard that is written: its name, what it says of itself, and its worker's peak memory."""

    name: str
    summary: ShardSummary
    peak_bytes: int


def make_shard(estimator: Estimating, task: ShardTask, options: BatchOptions) -> ShardDone:
    """Read, estimate, measure and write the images of a shard.

    Raises:
        TrainingError: the disk is full.
    """
    chunks = [part.decoded(estimator.shape, options.range16) for part in task.parts]
    names = np.array([name for part in task.parts for name in part.names], np.str_)
    problems = [problem for chunk in chunks for problem in chunk.problems]
    digests = np.array([digest for chunk in chunks for digest in chunk.digests], np.str_)
    usable = np.array([not problem for problem in problems])
    rejected = [(str(n), p) for n, p in zip(names, problems, strict=True) if p]
    sites = None if task.sites is None else np.array(task.sites, np.str_)[usable]
    result = _estimate(estimator, _pixels(chunks)[usable], sites, options.batch)
    table = _table(names[usable], digests[usable], result, options.measures)
    summary = _summary(len(task), rejected, result)
    task.file.write(encode(table, result, summary, task.provenance, options))
    return ShardDone(task.name, summary, peak_memory())


def _pixels(chunks: Sequence[Chunk]) -> npt.NDArray[np.uint8]:
    return np.concatenate([chunk.images for chunk in chunks])


def _estimate(
    estimator: Estimating, images: npt.NDArray[np.uint8], sites: Any, batch: int
) -> DepthResult:
    probability = estimator.classify(images, sites, batch=batch)
    return estimator.predict(images, probability, batch=batch)


def _table(
    names: npt.NDArray[np.str_],
    digests: npt.NDArray[np.str_],
    result: DepthResult,
    measures: bool,
) -> pd.DataFrame:
    """A row an image: name, SHA-256 of its file, case, flags, neighbours and measures."""
    from semtf.estimation.predictions import heaviest_neighbours
    from semtf.metrology.hole import measure

    table = pd.DataFrame(
        {
            "name": names,
            "image_sha256": digests,
            "case": result.case.astype(np.int32),
            "case_probability": result.case_probability.astype(np.float32),
            "similarity": result.similarity.astype(np.float32),
            "sigma_mean": result.sigma.mean(axis=(1, 2)).astype(np.float32),
            "flags": result.flags,
            "neighbours": [heaviest_neighbours(result.neighbours[i]) for i in range(len(result))],
        }
    )
    if not measures:
        return table
    measured = measure(result.depth).reset_index(drop=True).astype(np.float32)
    return pd.concat([table, measured], axis=1)


def _summary(images: int, rejected: list[tuple[str, str]], result: DepthResult) -> ShardSummary:
    return ShardSummary(
        images=images,
        rejected=rejected,
        cases=dict(Counter(map(str, result.case.tolist()))),
        flags=dict(Counter(word for words in result.flags for word in words)),
        flagged=sum(map(bool, result.flags)),
    )
