"""The connection to Ray, which is imported nowhere else: a cluster, or workers on this machine."""

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from semtf.errors import InputError
from semtf.machine import available_cores
from semtf.progress import inform

PORT = 6379
"""Where a Ray cluster listens unless it is told otherwise."""


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


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to Ray while the block runs.

    Args:
        address: ``"local"`` starts workers on this machine; a host name, with or without port, or
            a ``ray://`` URL is a cluster; ``"auto"`` is the cluster of this machine or of
            ``RAY_ADDRESS`` where there is one, and else ``"local"``.

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
        try:
            ray.init(address="auto", **quiet)
            return
        except ConnectionError:
            if os.environ.get("RAY_ADDRESS"):
                raise InputError(
                    f"--address auto: no Ray cluster answers at RAY_ADDRESS="
                    f"{os.environ['RAY_ADDRESS']}; start one, or use --address local"
                ) from None
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
