"""A whole batch: listed, divided, estimated by workers, added up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semtf.batch.division import divide, shard_names
from semtf.batch.estimation import ShardDone, ShardTask
from semtf.batch.inputs import list_images
from semtf.batch.location import Location
from semtf.batch.options import BatchOptions, begin, plan
from semtf.batch.shard_file import ShardSummary, read_summary
from semtf.batch.totals import MANIFEST, REJECTED, manifest_bytes, rejected_bytes, totals
from semtf.data.names import named_after
from semtf.estimation.storage_shards import head_run, is_sharded
from semtf.outputs import check_folder, protect
from semtf.progress import inform, progress
from semtf.run import Run

Make = Callable[[Sequence[ShardTask]], Iterable[ShardDone]]


@dataclass(frozen=True)
class BatchResult:
    """A finished batch.

    Attributes:
        manifest: what ``manifest.json`` holds.
        made: shards that this call made; the others were there.
        peak_bytes: the most memory that one worker had.
    """

    manifest: dict[str, Any]
    made: int
    peak_bytes: int


def run_batch(run: Path, images: str, out: str, options: BatchOptions, make: Make) -> BatchResult:
    """Estimate all images of an input into shards; a call that was interrupted goes on.

    Args:
        run: the run folder, or what ``semtf shard`` made of one.
        images: the input, see `semtf.batch.inputs.list_images`.
        out: the folder for the shards, on a disk that all workers see, or a URL.
        options: what decides the bytes of the shards.
        make: makes shards, in any order.

    Raises:
        InputError: the run, the input or the output is not usable.
        TrainingError: the disk is full, or workers die again and again.
    """
    run = (head_run(run) if is_sharded(run) else Run.open(run)).path
    target = Location.of(out)
    if target.is_local:
        protect([Path(target.path)], [run, *([] if "://" in images else [images])])
        check_folder(Path(target.path))
    listing = list_images(images)
    if options.format == "png":
        named_after(listing.names, images, (".png", "_sigma.png"))
    provenance = plan(run, listing, options)
    begin(target, provenance)
    shards = divide(len(listing), options.shard_size, listing.sites)
    names = shard_names(len(shards), options.ending)
    complete = _complete(target, names)
    tasks = [
        ShardTask(
            target.inside(name),
            listing.cut(part.start, part.stop),
            None if listing.sites is None else listing.sites[part.start : part.stop],
            provenance,
        )
        for name, part in zip(names, shards, strict=True)
        if name not in complete
    ]
    if complete:
        inform(f"{out}: goes on, {len(complete)} of {len(shards)} shards are complete")
    peak = _make(tasks, make, complete) if tasks else 0
    complete |= _complete(target, [task.name for task in tasks])
    every = {name: complete[name] for name in names if name in complete}
    content = totals(every, len(listing), provenance)
    target.inside(REJECTED).write(rejected_bytes(every))
    target.inside(MANIFEST).write(manifest_bytes(content))
    return BatchResult(content, len(tasks), peak)


def _make(
    tasks: Sequence[ShardTask],
    make: Make,
    complete: dict[str, tuple[ShardSummary, str]],
) -> int:
    """Have shards made under a progress bar; gives the peak memory of a worker."""
    rejected = sum(len(summary.rejected) for summary, _ in complete.values())
    left, peak = sum(map(len, tasks)), 0
    with progress("Estimating images", left) as advance:
        for done in make(tasks):
            rejected += len(done.summary.rejected)
            peak = max(peak, done.peak_bytes)
            advance(done.summary.images, f"{rejected} rejected")
    return peak


def _complete(target: Location, names: Sequence[str]) -> dict[str, tuple[ShardSummary, str]]:
    """The shards that are there whole."""
    present = {file.path for file in target.files()}
    found = {name: read_summary(target.inside(name)) for name in names if name in present}
    return {name: summary for name, summary in found.items() if summary is not None}
