"""What a batch adds up to: ``rejected.parquet`` and ``manifest.json``."""

import io
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from semtf.batch.shard_file import ShardSummary
from semtf.errors import TrainingError

REJECTED, MANIFEST = "rejected.parquet", "manifest.json"
Shards = Mapping[str, tuple[ShardSummary, str]]
"""By name, in order, what each shard says of itself, and its SHA-256."""


def totals(shards: Shards, images: int, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's content.

    Args:
        shards: all shards of the batch.
        images: how many images the input has.
        provenance: what the batch was made from.

    Raises:
        TrainingError: the shards do not add up to the input.
    """
    cases: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    for summary, _ in shards.values():
        cases.update(summary.cases)
        flags.update(summary.flags)
    rejected = sum(len(summary.rejected) for summary, _ in shards.values())
    estimated = cases.total()
    if estimated + rejected != images:
        raise TrainingError(
            f"{estimated} estimated and {rejected} rejected images are not the {images} of the "
            "input; remove the output folder and run the batch anew"
        )
    return {
        "images": images,
        "estimated": estimated,
        "rejected": rejected,
        "flagged": sum(summary.flagged for summary, _ in shards.values()),
        "cases": dict(sorted(cases.items())),
        "flags": dict(sorted(flags.items())),
        "shards": [
            {
                "file": name,
                "images": summary.images,
                "estimated": summary.images - len(summary.rejected),
                "rejected": len(summary.rejected),
                "sha256": digest,
            }
            for name, (summary, digest) in shards.items()
        ],
        "provenance": dict(provenance),
    }


def manifest_bytes(content: Mapping[str, Any]) -> bytes:
    """The bytes of ``manifest.json``."""
    return (json.dumps(content, indent=1) + "\n").encode()


def rejected_bytes(shards: Shards) -> bytes:
    """The bytes of ``rejected.parquet``: name, reason and shard of every bad image."""
    rows = [
        (name, reason, shard)
        for shard, (summary, _) in shards.items()
        for name, reason in summary.rejected
    ]
    columns = ("name", "reason", "shard")
    arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(columns))]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(columns)), buffer)
    return buffer.getvalue()
