"""One shard's file, Parquet or a zip of PNG files with a table, and what it says of itself."""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from semtf.batch.location import Location
from semtf.batch.options import BatchOptions
from semtf.data.endings import without_ending
from semtf.data.png import encode_png
from semtf.estimation.result import DepthResult
from semtf.json_fields import parse_json

SUMMARY = "semtf"
SUMMARY_FILE, TABLE = "shard.json", "table.csv"
SIGMA_SCALE = 256
"""σ in PNG files is 16-bit grey: so many of its levels are one grey level of depth."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all members of a zip file: the same images give the same bytes."""


@dataclass(frozen=True)
class ShardSummary:
    """What a shard's file says of itself.

    Attributes:
        images: how many the shard has, with those that were rejected.
        rejected: name and reason of each bad image.
        cases: how many images are of each case.
        flags: how many images have each flag.
        flagged: how many have any.
    """

    images: int
    rejected: list[tuple[str, str]] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    flagged: int = 0

    def to_json(self) -> str:
        """The summary as JSON, the same for equal ones."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "ShardSummary":
        """Read what `to_json` wrote; raises ValueError, KeyError or TypeError where it is none."""
        values = parse_json(text)
        rejected = [(name, reason) for name, reason in values.pop("rejected")]
        return cls(rejected=rejected, **values)


def encode(
    table: pd.DataFrame,
    result: DepthResult,
    summary: ShardSummary,
    provenance: dict[str, Any],
    options: BatchOptions,
) -> bytes:
    """The bytes of a shard's file.

    Args:
        table: a row an image, without depth and σ.
        result: the estimates of the same images.
        summary: of the shard.
        provenance: what the shard was made from.
        options: the format, and the type of depth and σ.
    """
    if options.format == "png":
        return _zip(table, result, summary, provenance)
    return _parquet(table, result, summary, provenance, options)


def _parquet(
    table: pd.DataFrame,
    result: DepthResult,
    summary: ShardSummary,
    provenance: dict[str, Any],
    options: BatchOptions,
) -> bytes:
    columns = {name: pa.array(table[name].tolist(), _type(table[name])) for name in table}
    if options.dtype is None:
        columns["depth"] = pa.array(list(map(encode_png, result.grey())), pa.binary())
        columns["sigma"] = pa.array(list(map(encode_png, sigma_levels(result.sigma))), pa.binary())
    else:
        columns["depth"] = _arrays(result.depth, options.dtype)
        columns["sigma"] = _arrays(result.sigma, options.dtype)
    metadata = {
        SUMMARY: summary.to_json(),
        "provenance": json.dumps(provenance, sort_keys=True),
        "shape": json.dumps(result.depth.shape[1:]),
        "sigma_levels": str(1 if options.dtype else SIGMA_SCALE),
    }
    buffer = io.BytesIO()
    written = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(written, buffer, compression="zstd", use_dictionary=False)
    return buffer.getvalue()


def _type(column: pd.Series) -> pa.DataType:
    if column.name == "flags":
        return pa.list_(pa.string())
    if column.name == "name" or column.dtype.kind not in "if":
        return pa.string()
    return pa.int32() if column.dtype.kind == "i" else pa.from_numpy_dtype(column.dtype)


def _arrays(images: npt.NDArray[np.float32], dtype: str) -> pa.Array:
    pixels = images[0].size if len(images) else int(np.prod(images.shape[1:]))
    flat = pa.array(images.astype(dtype).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, pixels)


def _zip(
    table: pd.DataFrame, result: DepthResult, summary: ShardSummary, provenance: dict[str, Any]
) -> bytes:
    flat = table.assign(flags=[" ".join(words) for words in table["flags"]])
    members = {TABLE: flat.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()}
    for name, depth, sigma in zip(
        table["name"], result.grey(), sigma_levels(result.sigma), strict=True
    ):
        members[f"{without_ending(name)}.png"] = encode_png(depth)
        members[f"{without_ending(name)}_sigma.png"] = encode_png(sigma)
    document = {"provenance": provenance, "sigma_levels": SIGMA_SCALE}
    members[SUMMARY_FILE] = json.dumps(
        {**document, SUMMARY: parse_json(summary.to_json())}, sort_keys=True
    ).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return buffer.getvalue()


def sigma_levels(sigma: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """σ in 256ths of a grey level, as 16-bit grey."""
    return np.clip(np.rint(sigma * SIGMA_SCALE), 0, 65535).astype(np.uint16)


def read_summary(file: Location) -> tuple[ShardSummary, str] | None:
    """What a whole shard says of itself, and its SHA-256; None where it is missing or cut off."""
    try:
        content = file.read()
        if file.path.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                document = parse_json(archive.read(SUMMARY_FILE))
            summary = ShardSummary.from_json(json.dumps(document[SUMMARY]))
        else:
            metadata = pq.read_schema(pa.BufferReader(content)).metadata
            summary = ShardSummary.from_json(metadata[SUMMARY.encode()])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return summary, hashlib.sha256(content).hexdigest()
