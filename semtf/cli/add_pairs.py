"""`semtf add-pairs`: more simulator pairs for a trained run."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER, cache_option, data_option, json_option, skip_bad_option


@click.command(name="add-pairs")
@click.argument("run", type=FOLDER)
@data_option
@skip_bad_option
@cache_option
@json_option
def command(run: Path, data: Path, skip_bad: bool, cache: Path | None, as_json: bool) -> None:
    """Append the simulator pairs of a data set to the storage of RUN.

    They are adapted as the run's own pairs were; what is stored already is left out. Interrupted,
    the same command goes on.
    """

    from semtf import extension

    added = extension.add_pairs(run, data, skip_bad=skip_bad, cache=cache)
    if as_json:
        import json

        click.echo(json.dumps({"run": str(run), "added": added}))
        return
    counts = ", ".join(f"case {case}: {count}" for case, count in added.items())
    click.echo(f"{run}: pairs added, {counts}")
