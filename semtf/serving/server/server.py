"""`semtf serve`: check the call, choose the engine, run it."""

import contextlib
import logging
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from semtf.errors import InputError
from semtf.serving.server.addresses import is_loopback
from semtf.serving.server.app import application
from semtf.serving.server.connections import connections_allowed, timed_protocol
from semtf.serving.server.metrics import Metrics
from semtf.serving.server.models import Configs, Models
from semtf.serving.server.predicting import Limits, Predicting
from semtf.serving.server.version_folders import version_folders

if TYPE_CHECKING:
    from semtf.serving.server.grpc_server import GrpcServer

BINARY = "tensorflow_model_server"


def serve(
    configs: Configs,
    *,
    host: str = "127.0.0.1",
    port: int = 8501,
    grpc_port: int | None = None,
    limits: Limits | None = None,
    poll: float = 1.0,
    changed: Callable[[], Configs | None] = lambda: None,
    token: str | None = None,
    insecure: bool = False,
) -> None:
    """Serve models over REST, and gRPC where it is asked for, until the process is told to end.

    Args:
        configs: the models by name.
        host: address to listen on; beyond loopback a token is needed, or ``insecure``.
        port: TCP port of REST; 0 for a free one, which the first line of output names.
        grpc_port: TCP port of gRPC; 0 for a free one, which the second line names.
        limits: what a client may ask for.
        poll: seconds between looks for changed models.
        changed: gives the models anew where they changed.
        token: clients must send it as a bearer token.
        insecure: let everybody in who reaches the port.

    Raises:
        InputError: there is no version, the host is open to others, or a port is taken.
    """
    for config in configs.values():
        check_versions(config.folder)
    check_exposure(host, token, insecure)
    listener = _listen(host, port)
    metrics = Metrics()
    models = Models(configs, metrics, poll, changed)
    predicting = Predicting(limits or Limits(), metrics)
    grpc = grpc_address = None
    if grpc_port is not None:
        grpc_address = _free_address(host, grpc_port)
        grpc = _grpc_server(models, predicting, grpc_address, token)
    local_only = token is None and not insecure and is_loopback(host)
    app = application(models, predicting, token, local_only=local_only, grpc=grpc)
    address = _address(host, listener.getsockname()[1])
    print(f"http://{address}/v1/models/{next(iter(configs))}", flush=True)
    if grpc_address is not None:
        print(f"grpc://{grpc_address}", flush=True)
    # After its shutdown uvicorn raises the signal that asked for it once more.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(_config(app, predicting.limits)).run([listener])


def _config(app: Starlette, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=timed_protocol(limits.receiving, connections_allowed()),
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(limits.receiving + limits.answering) + 1,
        timeout_keep_alive=75,
    )


def _grpc_server(
    models: Models, predicting: Predicting, address: str, token: str | None
) -> "GrpcServer":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Models are loaded in new processes, which have nothing to do with gRPC.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        from semtf.serving.server.grpc_server import GrpcServer
    except ModuleNotFoundError as error:
        raise InputError(
            f"--grpc-port: the package {error.name} is missing; pip install semtf[grpc]"
        ) from error
    return GrpcServer(models, predicting, address, token)


def model_server(
    model: Path | None,
    config: Path | None,
    name: str,
    host: str,
    port: int,
    grpc_port: int | None,
) -> None:
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
    if model is not None:
        check_versions(model)
    if ":" in host or not is_loopback(host):
        raise InputError(
            f"--host {host}: {BINARY} has no access control and listens on every address; "
            "put a proxy before it, or use --engine builtin"
        )
    command = [program, f"--rest_api_port={port}"]
    if grpc_port is not None:
        command.append(f"--port={grpc_port}")
    if config is not None:
        command.append(f"--model_config_file={config.resolve()}")
        os.execv(program, command)  # noqa: S606 - no shell, and the program was found above
    base = Path(str(model)).resolve()
    command += [f"--model_name={name}", f"--model_base_path={base}"]
    batching = base / "serving" / "batching.config"
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


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _free_address(host: str, port: int) -> str:
    """Host and port for gRPC, which binds them itself when it starts."""
    with contextlib.closing(_listen(host, port, "--grpc-port")) as listener:
        return _address(host, listener.getsockname()[1])


def _listen(host: str, port: int, option: str = "--port") -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {host} {option} {port}: cannot listen there ({error}); choose another"
        ) from error
    return listener
