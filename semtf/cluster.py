"""The cluster that TF_CONFIG describes, checked: its members, and which of them this process is.

`semtf.cluster_meeting` has how they meet.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

from semtf.errors import InputError

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Member:
    """A task of the cluster that trains, and its address."""

    job: str
    index: int
    address: str

    @property
    def socket_address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def __str__(self) -> str:
        return f"{self.job} {self.index} at {self.address}"


class Cluster(NamedTuple):
    """The members, and which of them this process is."""

    members: tuple[Member, ...]
    this_member: Member

    @property
    def leads(self) -> bool:
        """Whether this process is the chief, the first member, which alone writes."""
        return self.this_member == self.members[0]

    @property
    def others(self) -> tuple[Member, ...]:
        """All members but this one."""
        return tuple(member for member in self.members if member != self.this_member)


def configured_cluster() -> Cluster | None:
    """The cluster that the environment variable TF_CONFIG names; None where it names none.

    Raises:
        InputError: it is no valid description of a cluster and a task.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{VARIABLE}: is not JSON ({error}); mend or unset it") from error
    cluster = value.get("cluster") if isinstance(value, dict) else None
    if not isinstance(cluster, dict) or not isinstance(cluster.get("worker"), list):
        raise _wrong('needs {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {...}}')
    if unknown := set(cluster) - set(JOBS):
        raise _wrong(f"the cluster has {', '.join(sorted(unknown))}; only chief and worker train")
    members = tuple(
        Member(job, index, _address(address, f"{job} {index}"))
        for job in JOBS
        for index, address in enumerate(_address_list(cluster.get(job, []), job))
    )
    addresses = [member.address for member in members]
    for address in addresses:
        if addresses.count(address) > 1:
            raise _wrong(f"{address} is the address of several tasks; each needs its own")
    return Cluster(members, _task(value.get("task"), members))


def _task(task: Any, members: tuple[Member, ...]) -> Member:
    if not isinstance(task, dict) or type(task.get("index")) not in (int, str):
        raise _wrong('needs "task": {"type": "worker", "index": 0}')
    for member in members:
        if member.job == task.get("type") and str(member.index) == str(task["index"]):
            return member
    known = ", ".join(f"{member.job} {member.index}" for member in members)
    raise _wrong(f"the task is {task.get('type')} {task['index']}, the cluster has {known}")


def _address_list(addresses: Any, job: str) -> list[Any]:
    if not isinstance(addresses, list):
        raise _wrong(f"the addresses of {job} must be a list")
    return addresses


def _address(address: Any, task: str) -> str:
    host, colon, port = str(address).rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise _wrong(f"the address of {task} is {address!r}; write HOST:PORT")
    return str(address)


def _wrong(reason: str) -> InputError:
    return InputError(f"{VARIABLE}: {reason}")
