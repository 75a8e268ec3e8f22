"""`semtf shard`: the storage of a run spread over folders, each with its index."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER


@click.command(name="shard")
@click.argument("run", type=FOLDER)
@click.option("--shards", required=True, type=click.IntRange(1, 999), help="How many folders.")
@click.option("--out", required=True, type=FOLDER, help="Folder for them, which must be new.")
def command(run: Path, shards: int, out: Path) -> None:
    """Spread the pairs of RUN over folders, each searched by a process of its own.

    semtf predict-batch --run takes the result in place of a run.
    """
    from semtf.estimation.storage_shards import shard_run

    counts = shard_run(run, shards, out)
    for case, pairs in counts.items():
        click.echo(f"case {case}: {sum(pairs)} pairs, {min(pairs)} to {max(pairs)} a folder")
    click.echo(f"{out}: {shards} folders")
