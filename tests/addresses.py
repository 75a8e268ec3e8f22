"""Addresses on this machine for workers that train together."""

import json


def config(addresses: list[str], index: int) -> str:
    """The TF_CONFIG of a worker."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})
