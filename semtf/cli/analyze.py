"""`semtf analyze`: look at a data set before anything is trained on it."""

from pathlib import Path

import click

from semtf.cli.options import FOLDER, cache_option, data_option, fab_folders, fab_option


@click.command(name="analyze")
@data_option
@click.option(
    "--out", type=FOLDER, default="analysis.html", show_default=True, help="The page to write."
)
@click.option("--json", "json_file", type=FOLDER, help="Also write all numbers into this file.")
@fab_option
@cache_option
def command(
    data: Path, out: Path, json_file: Path | None, fab: tuple[str, ...], cache: Path | None
) -> None:
    """Look at a data set: images, counts, distances, noise, depth law, margins.

    Nothing is trained. The page says what is unlike the challenge's data and how hard adaptation
    will be.
    """
    from semtf.analysis.analysis import analyze
    from semtf.analysis.page import check_page
    from semtf.outputs import check_file, replacing

    folders = fab_folders(fab)
    check_page(out, data)
    if json_file is not None:
        check_file(json_file, ".json", '"data"', [data, out])
    analysis = analyze(data, fab=folders, cache=cache)
    analysis.save(out)
    if json_file is not None:
        with replacing(json_file) as partial:
            partial.write_text(analysis.to_json(), encoding="utf-8")
    for finding in analysis.findings:
        cases = f" (case {', '.join(map(str, finding.cases))})" if finding.cases else ""
        click.echo(f"{finding.topic}{cases}: {finding.text}")
    if analysis.numbers.offset is not None:
        click.echo(analysis.numbers.offset.statement)
    click.echo(analysis.difficulty.text)
    click.echo(f"{out}: written")
