"""Other processes of this interpreter, semtf's commands in them, and ports for them."""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

SEMTF = ("-c", "from semtf.cli.main import run; run()")
"""What `semtf` is to an interpreter that finds the package; its arguments follow."""


def spawn(arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start this interpreter; options as those of `subprocess.Popen`."""
    return subprocess.Popen([sys.executable, *arguments], **options)  # noqa: S603 - our own interpreter


def finish(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this interpreter to its end; options as those of `subprocess.Popen`."""
    pipe = subprocess.PIPE
    with spawn(arguments, stdout=pipe, stderr=pipe, text=True, **options) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return numbers


def worker_config(addresses: list[str], index: int) -> str:
    """The TF_CONFIG of a worker that trains with those at the other addresses."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})
