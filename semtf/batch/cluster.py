"""The connection to Ray, which is imported nowhere else: a cluster, or workers on this machine."""

import importlib
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from semtf.errors import InputError
from semtf.machine import available_cores
from semtf.progress import inform

PORT = 6379
"""Where a Ray cluster listens unless it is told otherwise."""
CLIENT_PORT = 10001
"""Where it listens for ``ray://``."""
ANSWER_SECONDS = 10.0


def import_ray() -> Any:
    """Ray; raises InputError where it or pyarrow is not installed."""
    # Without word from the user nothing about the batch leaves the machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        importlib.import_module("pyarrow")
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise InputError(
            f'the package {error.name} is missing; install it with pip install "semtf[ray]"'
        ) from error


def check_address(address: str) -> None:
    """Raise InputError where nothing listens at the address of a cluster: Ray would wait for it.

    Args:
        address: as of `connected`.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if place in ("", "auto", "local"):
        return
    named = f"--address {address}" + (f": RAY_ADDRESS={place}" if address == "auto" else "")
    try:
        parts = urlsplit(place if "://" in place else f"//{place}")
        port = parts.port or (CLIENT_PORT if parts.scheme == "ray" else PORT)
        socket.create_connection((parts.hostname or "", port), ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{named}: no Ray cluster answers ({error}); start one with ray start --head, or use "
            "--address local"
        ) from error


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to Ray while the block runs.

    Args:
        address: ``"local"`` starts workers on this machine; a host name, with or without port, or
            a ``ray://`` URL is a cluster; ``"auto"`` is the cluster of this machine or of
            ``RAY_ADDRESS`` where there is one, and else ``"local"``. `check_address` comes before:
            where nothing listens, Ray waits.

    Yields:
        The module.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    ray = import_ray()
    if ray.is_initialized():  # the caller's own connection is neither changed nor closed
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "auto":
        with suppress(ConnectionError):
            ray.init(address="auto", **quiet)
            return
    if address in ("auto", "local"):
        inform("no Ray cluster is running: workers start on this machine")
        ray.init(address="local", num_cpus=available_cores(), include_dashboard=False, **quiet)
        return
    try:
        ray.init(address=address if ":" in address else f"{address}:{PORT}", **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"--address {address}: no Ray cluster answers ({_first_line(error)}); start one with "
            "ray start --head, or use --address local"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def default_workers(ray: Any) -> int:
    """One worker a GPU where the cluster has any, else one a core."""
    resources = ray.cluster_resources()
    return max(1, int(resources.get("GPU", 0) or resources.get("CPU", 1)))
