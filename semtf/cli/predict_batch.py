"""`semtf predict-batch`: many images to depth maps in shards, by workers on Ray."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from semtf.cli.options import range16_option, run_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from semtf.batch.estimation import ShardDone, ShardTask
    from semtf.batch.options import DType, Format


@click.command(name="predict-batch")
@run_option
@click.option(
    "--images",
    required=True,
    help="Folder, zip, Parquet or TFRecord file, or a pattern in quotes; a path or a URL.",
)
@click.option("--out", required=True, help="Folder for the shards, a path or a URL.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "png"]),
    default="parquet",
    show_default=True,
    help="Parquet files, or zip files of PNG files.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    help="Depth and sigma in Parquet as raw arrays; default PNG files.",
)
@click.option(
    "--address",
    default="auto",
    show_default=True,
    metavar="auto|local|HOST",
    help="The Ray cluster; auto takes one that is running, else this machine.",
)
@click.option(
    "--workers", type=click.IntRange(1), help="Default one a GPU, or one a core without any."
)
@click.option(
    "--batch", type=click.IntRange(1), default=128, show_default=True, help="Images at a time."
)
@click.option(
    "--shard-size",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="Images of a shard.",
)
@click.option("--no-measures", is_flag=True, help="Leave the measurements of the holes out.")
@range16_option
def command(
    run: Path,
    images: str,
    out: str,
    form: str,
    dtype: str | None,
    address: str,
    workers: int | None,
    batch: int,
    shard_size: int,
    no_measures: bool,
    range16: tuple[float, float] | None,
) -> None:
    """Estimate more images than one process should: in shards, by workers, on one machine or many.

    Bad images are left out and listed in rejected.parquet; manifest.json has the counts. The same
    command goes on after an interruption, from the shards that are complete.
    """
    from semtf.batch.cluster import check_address, connected, import_ray

    import_ray()
    check_address(address)
    from semtf.batch.job import run_batch
    from semtf.batch.options import BatchOptions
    from semtf.batch.workers import make_on_ray

    options = BatchOptions(
        format=cast("Format", form),
        dtype=cast("DType | None", dtype),
        batch=batch,
        shard_size=shard_size,
        range16=range16,
        measures=not no_measures,
    )

    def make(tasks: "Sequence[ShardTask]") -> "Iterator[ShardDone]":
        with connected(address) as ray:
            yield from make_on_ray(ray, run, options, workers, tasks)

    done = run_batch(run, images, out, options, make)
    manifest = done.manifest
    memory = f", at most {done.peak_bytes / 1e6:.0f} MB a worker" if done.made else ""
    click.echo(
        f"{out}: {manifest['estimated']} depth maps and {manifest['rejected']} rejected of "
        f"{manifest['images']} images, {manifest['flagged']} flagged, "
        f"{len(manifest['shards'])} shards{memory}"
    )
