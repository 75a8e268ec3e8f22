"""Options that several commands share."""

import typing
from pathlib import Path

import click

from semtf.config import Weights

WEIGHTS = typing.get_args(Weights)
FOLDER = click.Path(path_type=Path)

run_option = click.option("--run", required=True, type=FOLDER, help="The run folder.")
data_option = click.option(
    "--data", required=True, type=FOLDER, help="Folder in the challenge's layout, or its zip file."
)
cache_option = click.option(
    "--cache", type=FOLDER, help="Where packed images are kept; default ~/.cache/semtf."
)
skip_bad_option = click.option("--skip-bad", is_flag=True, help="Leave bad images out.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
