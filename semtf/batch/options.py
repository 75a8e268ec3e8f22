"""What decides the bytes of a batch, beside the images and the run."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pyarrow import fs

from semtf.batch.inputs import Listing
from semtf.batch.location import Location
from semtf.data.images import check_range16
from semtf.errors import InputError
from semtf.json_fields import parse_json
from semtf.manifest import MANIFEST
from semtf.run import CONFIG
from semtf.version import __version__

Format = Literal["parquet", "png"]
DType = Literal["float16", "float32"]
PLAN = "plan.json"
ENDINGS: dict[Format, str] = {"parquet": ".parquet", "png": ".zip"}


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is estimated and written.

    Attributes:
        format: ``"parquet"`` or ``"png"``: zip files of PNG files with a table each.
        dtype: with Parquet, depth and σ as raw arrays of this type; as PNG files where None.
        batch: images that are estimated at a time.
        shard_size: images of a shard.
        range16: the values of 16-bit images that become grey levels 0 and 255.
        measures: whether the hole of each depth map is measured.
    """

    format: Format = "parquet"
    dtype: DType | None = None
    batch: int = 128
    shard_size: int = 1024
    range16: tuple[float, float] | None = None
    measures: bool = True

    def __post_init__(self) -> None:
        for name, value in (("batch", self.batch), ("shard-size", self.shard_size)):
            if value < 1:
                raise InputError(f"--{name} {value}: at least one image is needed")
        if self.dtype is not None and self.format == "png":
            raise InputError("--dtype: PNG files hold grey levels; it needs --format parquet")
        check_range16(self.range16)

    @property
    def ending(self) -> str:
        """Of the files of the shards."""
        return ENDINGS[self.format]


def plan(run: Path, listing: Listing, options: BatchOptions) -> dict[str, Any]:
    """What the output of a batch depends on, for ``plan.json`` and for the provenance of shards."""
    files = [path for path in (run / MANIFEST, run / CONFIG) if path.exists()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    values = asdict(options)
    if options.range16 is not None:
        values["range16"] = list(options.range16)
    return {
        "semtf": __version__,
        "run": run.resolve().name,
        "run_sha256": digest,
        "images": len(listing),
        "images_sha256": listing.digest,
        **values,
    }


def begin(out: Location, document: dict[str, Any]) -> None:
    """Take a folder for the output of a plan, or go on with one that was taken for the same.

    Raises:
        InputError: the folder holds anything else.
    """
    kind = out.kind
    if kind == fs.FileType.File:
        raise InputError(f"{out.text}: is a file; give a folder for --out")
    files = out.files() if kind == fs.FileType.Directory else []
    place = out.inside(PLAN)
    if any(file.path == PLAN for file in files):
        _check_same(place, document)
    elif files:
        raise InputError(
            f"{out.text}: holds other files and no {PLAN}; choose an empty folder for --out"
        )
    else:
        place.write((json.dumps(document, indent=1) + "\n").encode())
    out.remove_partial()


def _check_same(place: Location, document: dict[str, Any]) -> None:
    try:
        before = dict(parse_json(place.read()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{place.text}: is not what a batch writes ({error}); choose another --out"
        ) from error
    for name, value in document.items():
        if before.get(name) != value:
            raise InputError(
                f"{place.text}: another batch was begun there, with {name} {before.get(name)} and "
                f"not {value}; choose another --out"
            )
