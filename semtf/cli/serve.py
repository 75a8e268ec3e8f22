"""`semtf serve`: a model over REST, with TensorFlow Serving's contract."""

import logging
from pathlib import Path

import click

from semtf.bounds import is_whole
from semtf.cli.options import FOLDER, FiniteRange
from semtf.errors import InputError
from semtf.serving.server.addresses import MODEL_NAME, is_model_name

VERSION_DIGITS = 18
"""Versions may be times in nanoseconds, and are integers of 64 bits."""


@click.command(name="serve")
@click.option("--model", type=FOLDER, help="Folder of version folders.")
@click.option(
    "--model-config-file",
    type=FOLDER,
    help="Several models instead: a ModelServerConfig of TensorFlow Serving as text, read again "
    "when it changes.",
)
@click.option("--name", default="semtf", show_default=True, help="The model's name in addresses.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Serve TensorFlow Serving's gRPC services as well, on this port.",
)
@click.option(
    "--engine",
    type=click.Choice(["builtin", "tensorflow"]),
    default="builtin",
    show_default=True,
    help="tensorflow becomes tensorflow_model_server, which must be on the PATH; no page.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VERSION",
    help="Serve a version under a label, too, such as stable=3.",
)
@click.option("--token-file", type=FOLDER, help="File with the bearer token that clients send.")
@click.option("--insecure", is_flag=True, help="Let everybody in who reaches the port.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1, 1 << 16))
@click.option(
    "--window",
    default=2.0,
    show_default=True,
    type=FiniteRange(0),
    help="Milliseconds that a request waits for others to join its batch.",
)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1, 1024))
@click.option(
    "--poll",
    default=1.0,
    show_default=True,
    type=FiniteRange(0.05),
    help="Seconds between looks for a new version.",
)
@click.option(
    "--max-body", default=32, show_default=True, type=click.IntRange(1), help="MiB a request."
)
@click.option("--max-instances", default=256, show_default=True, type=click.IntRange(1))
@click.option(
    "--max-pending",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    help="Requests at the same time; more are refused with 429.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=FiniteRange(0.01),
    help="Seconds that an answer may take.",
)
@click.option(
    "--receive-timeout",
    default=30.0,
    show_default=True,
    type=FiniteRange(0.01),
    help="Seconds that the head and the body of a request may take to arrive, each.",
)
def command(
    model: Path | None,
    model_config_file: Path | None,
    name: str,
    host: str,
    port: int,
    grpc_port: int | None,
    engine: str,
    labels: tuple[str, ...],
    token_file: Path | None,
    insecure: bool,
    batch: int,
    window: float,
    threads: int,
    poll: float,
    max_body: int,
    max_instances: int,
    max_pending: int,
    timeout: float,
    receive_timeout: float,
) -> None:
    """Serve models over REST and gRPC, and a page to look at; the newest version is picked up.

    Prints the address of the model, then serves until it is interrupted.
    """
    if (model is None) == (model_config_file is None):
        raise InputError("give --model or --model-config-file, and not both")
    if labels and model_config_file is not None:
        raise InputError("--label: write version_labels into the --model-config-file")
    label_versions = _labels(labels)
    if not is_model_name(name):
        raise InputError(f"--name {name!r}: {MODEL_NAME}")
    try:
        from semtf.serving.server.model_config import ConfigFile, ModelConfig
        from semtf.serving.server.predicting import Limits
        from semtf.serving.server.server import model_server, serve
        from semtf.serving.server.version import Options
        from semtf.serving.token import read_token
    except ModuleNotFoundError as error:
        raise InputError(
            f"semtf serve: the package {error.name} is missing; pip install semtf[serve]"
        ) from error
    if engine == "tensorflow":
        model_server(model, model_config_file, name, host, port, grpc_port)
    token = None if token_file is None else read_token(token_file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    options = Options(batch, window / 1000, threads, poll, label_versions)
    file = None if model_config_file is None else ConfigFile(model_config_file, options)
    serve(
        file.read() if file is not None else {name: ModelConfig(name, Path(str(model)), options)},
        host=host,
        port=port,
        grpc_port=grpc_port,
        poll=poll,
        changed=(lambda: None) if file is None else file.changed,
        limits=Limits(max_body << 20, max_instances, max_pending, receive_timeout, timeout),
        token=token,
        insecure=insecure,
    )


def _labels(assignments: tuple[str, ...]) -> dict[str, int]:
    labels = {}
    for assignment in assignments:
        name, equals, version = assignment.partition("=")
        if not equals or not name or not is_whole(version, VERSION_DIGITS):
            raise InputError(f"--label {assignment}: write NAME=VERSION, as in stable=3")
        if name in labels:
            raise InputError(f"--label {assignment}: {name} is given twice; leave one")
        labels[name] = int(version)
    return labels
