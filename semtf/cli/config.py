"""`semtf config`: a preset with all its fields."""

import click

from semtf.presets import PRESETS, preset


@click.command(name="config")
@click.option(
    "--preset", "name", type=click.Choice(list(PRESETS)), default="quick", show_default=True
)
def command(name: str) -> None:
    """Print a preset with all its fields, as JSON."""
    click.echo(preset(name).to_json(), nl=False)
