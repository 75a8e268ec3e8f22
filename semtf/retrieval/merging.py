"""Pairs spread over several storages, and what their searches find, merged into one answer."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Found(NamedTuple):
    """The pairs that a search finds for each of ``q`` queries, best first.

    Attributes:
        product: float32 ``[q, k]``; -inf where nothing was found.
        pair: int64 ``[q, k]``, the position of the pair among those of all storages.
        member: int32 ``[q, k]``, which of the pair's embeddings it was.
    """

    product: npt.NDArray[np.float32]
    pair: npt.NDArray[np.int64]
    member: npt.NDArray[np.int32]


def storage_of(names: Iterable[str], count: int) -> npt.NDArray[np.intp]:
    """Which of ``count`` storages each pair belongs to, by the hash of its name.

    A pair's storage depends on no other pair, so pairs that are added later move none.
    """
    digests = (hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names)
    return np.array([int.from_bytes(digest[:8], "big") % count for digest in digests], np.intp)


def merged(parts: Sequence[Found], k: int) -> Found:
    """The ``k`` best pairs of all storages: what one search of all of them finds.

    Of equal products the pair with the smaller position comes first, as in one search.

    Args:
        parts: what each storage found, at least one; together ``k`` columns or more.
        k: pairs an image.
    """
    product, pair, member = (
        np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True)
    )
    order = np.lexsort((pair, -product), axis=1)[:, :k]
    return Found(*(np.take_along_axis(a, order, axis=1) for a in (product, pair, member)))
