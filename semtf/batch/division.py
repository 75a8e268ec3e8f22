"""The division of an input into shards: from the order of its images alone, before anything runs.

What a shard holds does not depend on workers, nodes or what went wrong, so neither do its bytes.
"""

from collections.abc import Sequence
from itertools import pairwise


def divide(count: int, shard_size: int, sites: Sequence[str] | None = None) -> list[range]:
    """The images of each shard.

    Args:
        count: how many images there are.
        shard_size: images of a shard; the last one may have fewer.
        sites: of each image, those of a site side by side. The images of a site vote on their
            case, so they stay together: a shard ends before a site that it would cut, and one
            larger than a shard has a shard of its own.
    """
    if sites is None:
        return [range(a, min(a + shard_size, count)) for a in range(0, count, shard_size)]
    borders = [0, *(i for i in range(1, count) if sites[i] != sites[i - 1]), count]
    shards, start = [], 0
    for begin, end in pairwise(borders):
        if end - start > shard_size and begin > start:
            shards.append(range(start, begin))
            start = begin
    return [*shards, range(start, count)] if count else []


def shard_names(shards: int, ending: str) -> list[str]:
    """The file name of each shard, as in ``shard-00000-of-00012.parquet``."""
    return [f"shard-{i:05d}-of-{shards:05d}{ending}" for i in range(shards)]
