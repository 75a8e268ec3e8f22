"""The division of an input into shards, and what the shards add up to."""

import io

import pyarrow.parquet as pq
import pytest

from semtf.batch.division import divide, shard_names
from semtf.batch.shard_file import ShardSummary
from semtf.batch.totals import rejected_bytes, totals
from semtf.errors import TrainingError


def test_every_image_is_in_one_shard() -> None:
    assert divide(0, 4) == []
    assert divide(4, 4) == [range(4)]
    assert divide(9, 4) == [range(4), range(4, 8), range(8, 9)]


@pytest.mark.parametrize(
    ("sites", "shards"),
    [
        ("", []),
        ("aabb", [range(4)]),
        ("aabbcc", [range(4), range(4, 6)]),
        ("aaabbb", [range(3), range(3, 6)]),
        ("abbbbbbc", [range(1), range(1, 7), range(7, 8)]),
        ("aaaaaa", [range(6)]),
    ],
)
def test_sites_are_not_cut(sites: str, shards: list[range]) -> None:
    assert divide(len(sites), 4, list(sites)) == shards


def test_names_sort_as_shards_do() -> None:
    names = shard_names(12, ".parquet")
    assert names[3] == "shard-00003-of-00012.parquet"
    assert names == sorted(names)


SHARDS = {
    "s0": (
        ShardSummary(3, [("b.png", "the file is empty")], {"1": 2}, {"unlike_storage": 1}, 1),
        "x",
    ),
    "s1": (ShardSummary(2, [], {"1": 1, "4": 1}, {}, 0), "y"),
}


def test_counts_add_up() -> None:
    found = totals(SHARDS, 5, {"run": "r"})
    assert [found[key] for key in ("images", "estimated", "rejected", "flagged")] == [5, 4, 1, 1]
    assert found["cases"] == {"1": 3, "4": 1}
    assert found["flags"] == {"unlike_storage": 1}
    assert [shard["estimated"] for shard in found["shards"]] == [2, 2]
    rejected = pq.read_table(io.BytesIO(rejected_bytes(SHARDS))).to_pylist()
    assert rejected == [{"name": "b.png", "reason": "the file is empty", "shard": "s0"}]


def test_counts_that_do_not_add_up_are_an_error() -> None:
    with pytest.raises(TrainingError, match="4 estimated and 1 rejected images are not the 6"):
        totals(SHARDS, 6, {})


def test_a_summary_survives_its_file() -> None:
    for summary, _ in SHARDS.values():
        assert ShardSummary.from_json(summary.to_json()) == summary
