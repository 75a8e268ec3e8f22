"""`semtf serve`: check the call, choose the engine, run it."""

import contextlib
import logging
import os
import shutil
import socket
from pathlib import Path

import uvicorn

from semtf.errors import InputError
from semtf.serving.server.addresses import is_loopback
from semtf.serving.server.app import Limits, application
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.version_folders import version_folders
from semtf.serving.server.versions import Options, Versions

BINARY = "tensorflow_model_server"


def serve(
    model: Path,
    *,
    name: str = "semtf",
    host: str = "127.0.0.1",
    port: int = 8501,
    options: Options | None = None,
    limits: Limits | None = None,
    token: str | None = None,
    insecure: bool = False,
) -> None:
    """Serve the versions of a model over REST until the process is told to end.

    Args:
        model: the folder of version folders.
        name: the model's name in the addresses.
        host: address to listen on; beyond loopback a token is needed, or ``insecure``.
        port: TCP port; 0 for a free one, which the first line of output names.
        options: batching and watching.
        limits: what a client may ask for.
        token: clients must send it as a bearer token.
        insecure: let everybody in who reaches the port.

    Raises:
        InputError: there is no version, the host is open to others, or the port is taken.
    """
    check_versions(model)
    check_exposure(host, token, insecure)
    listener = _listen(host, port)
    limits = limits or Limits()
    metrics = Metrics()
    versions = Versions(model, name, options or Options(), metrics)
    local_only = token is None and not insecure and is_loopback(host)
    app = application(versions, limits, metrics, token, local_only=local_only)
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(limits.receiving + limits.answering) + 1,
        timeout_keep_alive=75,
    )
    address = f"[{host}]" if ":" in host else host
    print(f"http://{address}:{listener.getsockname()[1]}/v1/models/{name}", flush=True)
    # After its shutdown uvicorn raises the signal that asked for it once more.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


def model_server(model: Path, name: str, host: str, port: int) -> None:
    """Become ``tensorflow_model_server``; its batching file is used where the export wrote one.

    Raises:
        InputError: it is not on the PATH, there is no version, or it needs ScaNN's operations.
    """
    program = shutil.which(BINARY)
    if program is None:
        raise InputError(
            f"--engine tensorflow: {BINARY} is not on the PATH; install TensorFlow Serving, or "
            "leave --engine out"
        )
    check_versions(model)
    if ":" in host or not is_loopback(host):
        raise InputError(
            f"--host {host}: {BINARY} has no access control and listens on every address; "
            "put a proxy before it, or use --engine builtin"
        )
    command = [program, f"--rest_api_port={port}", f"--model_name={name}"]
    command.append(f"--model_base_path={model.resolve()}")
    batching = model.resolve() / "serving" / "batching.config"
    if batching.is_file():
        command += ["--enable_batching=true", f"--batching_parameters_file={batching}"]
    os.execv(program, command)  # noqa: S606 - no shell, and the program was found above


def check_versions(model: Path) -> None:
    """Raise InputError where a folder has no version to serve."""
    if not version_folders(model):
        raise InputError(
            f"{model}: no version folder with a SavedModel; make one with "
            f"semtf export --run RUN --out {model}/1"
        )


def check_exposure(host: str, token: str | None, insecure: bool) -> None:
    """Raise InputError where others can reach the server and nothing keeps them out."""
    if not is_loopback(host) and token is None and not insecure:
        raise InputError(
            f"--host {host}: other machines can reach it; give --token-file, or --insecure to "
            "let everybody in"
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error}); choose another"
        ) from error
    return listener
