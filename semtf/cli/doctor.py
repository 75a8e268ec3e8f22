"""`semtf doctor`: what is installed, whether it works together, and what to do where not."""

import json
from dataclasses import asdict

import click

from semtf.cli.options import json_option
from semtf.diagnosis import diagnose


@click.command(name="doctor")
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check versions, imports, devices, memory, disk and cache; exit code 1 where one is wrong."""
    found = []
    for finding in diagnose():
        found.append(finding)
        if not as_json:
            click.echo(
                f"{'wrong' if finding.problem else 'fine ':5}  {finding.subject}: {finding.found}"
            )
            if finding.problem:
                click.echo(f"       {finding.problem}; {finding.remedy}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    context.exit(int(any(finding.problem for finding in found)))
