"""`semtf` and `semtf-train`: lazy subcommands, and one-line errors with exit codes 0, 1, 2."""

import copy
import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from semtf.disk import explain_full_disk
from semtf.errors import InputError, TrainingError

COMMANDS = {
    "add-pairs": "Append simulator pairs to the storage of a run",
    "analyze": "Look at a data set before anything is trained on it",
    "benchmark": "Compare methods side by side on one data set",
    "config": "Print a preset with all its fields, as JSON",
    "doctor": "Check the installation, and say what to do where it is wrong",
    "evaluate": "RMSE of predicted depth maps against true ones",
    "export": "Write a run as one SavedModel",
    "measure": "Measure the holes of depth maps, into one table",
    "predict": "Estimate depth maps from SEM images with a trained run",
    "predict-batch": "Estimate many images in shards, by workers on Ray",
    "report": "Write the HTML page of a run",
    "serve": "Serve a model over REST, with a page to look at",
    "shard": "Spread the storage of a run over folders, for several machines",
    "simulate": "Make a synthetic fab's data set in the challenge's layout",
    "train": "Train everything on a data set, into one run folder",
}

OUTPUTS = ("out", "work", "run")
"""Parameters of commands that name what is written, the likelier ones first."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"semtf.cli.{cmd_name.replace('-', '_')}")
        return _explaining(module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them, so that --help is fast."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _explaining(command: click.Command) -> click.Command:
    """The command, which names the place where the disk of what it writes is full."""
    explaining = copy.copy(command)
    callback = cast("Callable[..., Any]", command.callback)
    explaining.callback = functools.partial(_explain_full_disk, callback)
    return explaining


def _explain_full_disk(callback: Callable[..., Any], **parameters: Any) -> Any:
    """Call a command's function; an error of a full disk names its output."""
    given = (parameters[name] for name in OUTPUTS if parameters.get(name))
    with explain_full_disk(Path(next(given, ".")), "run the command again"):
        return callback(**parameters)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="semtf")
def semtf() -> None:
    """Depth maps from SEM images of contact holes."""


def run(arguments: list[str] | None = None) -> None:
    """Entry point of `semtf`."""
    _main(semtf, list(sys.argv[1:] if arguments is None else arguments), "semtf")


def run_train(arguments: list[str] | None = None) -> None:
    """Entry point of `semtf-train`, which is `semtf train`."""
    from semtf.cli.train import command

    words = list(sys.argv[1:] if arguments is None else arguments)
    _main(_explaining(command), words, "semtf-train")


def _main(command: click.Command, arguments: list[str], name: str) -> None:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if debug:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    logging.getLogger("tensorflow").setLevel(logging.WARNING if debug else logging.ERROR)
    try:
        code = command.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        training = name == "semtf-train" or arguments[:1] == ["train"]
        hint = "; with --resume the same command goes on" if training else ""
        code = _fail(f"interrupted{hint}", 1)
    except click.ClickException as error:
        code = _fail(_one_line(error.format_message()), 2)
    except InputError as error:
        code = _fail(_one_line(str(error)), 2)
    except TrainingError as error:
        code = _fail(_one_line(str(error)), 1)
    except ImportError as error:
        if debug:
            raise
        told = _one_line(str(error))
        code = _fail(f"{told} (semtf doctor says what is wrong, --debug shows more)", 1)
    except Exception as error:  # any other error: one line unless --debug
        if debug:
            raise
        code = _fail(f"{type(error).__name__}: {_one_line(str(error))} (--debug shows more)", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split())
