"""The workers of TF_CONFIG meet before TensorFlow waits for them.

TensorFlow forms a cluster inside one call that holds Python's lock, has a time-out of an hour and
takes no SIGTERM. So the workers meet here first: each listens on its own address until it has
reached all the others, and prints for which it waits. A worker that waits greets who connects with
a hash of its cluster; one whose TensorFlow has started already begins HTTP/2, as gRPC does.
"""

import contextlib
import faulthandler
import functools
import hashlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semtf.cluster import VARIABLE, Cluster, Member
from semtf.errors import InputError, TrainingError

if TYPE_CHECKING:
    import tensorflow as tf

TIMEOUT = "SEMTF_CLUSTER_TIMEOUT"
TIMEOUT_SECONDS = 60.0
MESSAGE_SECONDS = 5.0
PAUSE_SECONDS = 0.5
GREETING = b"semtf worker of "
HTTP2_SETTINGS = b"\x04"
"""The fourth byte of what a gRPC server says first: the type of its frame."""


def cluster_strategy(cluster: Cluster, prepare: Callable[[], None]) -> "tf.distribute.Strategy":
    """The strategy over all workers of a cluster, once all of them have answered.

    It is made once a process. ``SEMTF_CLUSTER_TIMEOUT`` says how many seconds are waited.
    TensorFlow is loaded when the workers have met, and ``prepare`` is called before it starts.

    Raises:
        InputError: this member's address is in use, another member has another TF_CONFIG, or the
            time-out is no number.
        TrainingError: a worker did not answer in time.
    """
    return _formed(cluster, _timeout(), prepare)


@functools.cache
def _formed(
    cluster: Cluster, timeout: float, prepare: Callable[[], None]
) -> "tf.distribute.Strategy":
    _meet(cluster, timeout)
    import tensorflow as tf

    prepare()
    with _bounded(cluster, timeout), _termination_kept():
        return tf.distribute.MultiWorkerMirroredStrategy()


def _meet(cluster: Cluster, timeout: float) -> None:
    """Wait until every other member has answered."""
    missing = list(cluster.others)
    end, next_message = time.monotonic() + timeout, time.monotonic()
    with _listening(cluster):
        while True:
            first = {member: _first_bytes(member) for member in missing}
            missing = [
                member for member in missing if not _is_worker(member, first[member], cluster)
            ]
            if not missing:
                return
            now = time.monotonic()
            if now > end:
                strange = [member for member in missing if first[member] is not None]
                raise _unanswered(missing, strange, timeout)
            if now >= next_message:
                next_message = now + MESSAGE_SECONDS
                _show(f"waiting for {_listed(missing)}, {end - now:.0f} s at most")
            time.sleep(PAUSE_SECONDS)  # a refused connection tells nothing of when to try again


def _unanswered(
    missing: Sequence[Member], strange: Sequence[Member], timeout: float
) -> TrainingError:
    addresses = ", ".join(member.address for member in strange)
    others = f" (no worker of semtf listens at {addresses})" if strange else ""
    return TrainingError(
        f"{VARIABLE}: no answer from {_listed(missing)} within {timeout:g} s{others}; start all "
        f"workers, check the addresses, or wait longer with {TIMEOUT}=SECONDS"
    )


def _listed(members: Sequence[Member]) -> str:
    return ", ".join(map(str, members))


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[None]:
    """Greet the others on this member's port, where TensorFlow will listen later."""
    member = cluster.this_member
    _, port = member.socket_address
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        server = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        raise InputError(
            f"{VARIABLE}: {member} cannot listen on its port ({_reason(error)}); is that worker "
            "running already, or has another task the same index?"
        ) from error
    ended = threading.Event()
    thread = threading.Thread(target=_greet, args=(server, _greeting(cluster), ended), daemon=True)
    with server:
        server.settimeout(PAUSE_SECONDS)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _reason(error: OSError) -> str:
    # Python adds the address to the system's words.
    return os.strerror(error.errno) if error.errno else str(error)


def _greeting(cluster: Cluster) -> bytes:
    """What each member of a cluster says to who connects while it waits for the others."""
    names = "\n".join(map(str, cluster.members))
    return GREETING + hashlib.sha256(names.encode()).hexdigest().encode()


def _greet(server: socket.socket, greeting: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)


def _first_bytes(member: Member) -> bytes | None:
    """What an address says to who connects; None where nothing listens there."""
    try:
        connection = socket.create_connection(member.socket_address, timeout=2 * PAUSE_SECONDS)
    except OSError:
        return None
    with connection, contextlib.suppress(OSError):
        return connection.recv(256)
    return b""


def _is_worker(member: Member, first: bytes | None, cluster: Cluster) -> bool:
    """Whether first bytes are those of a worker; raises InputError where it has another cluster."""
    if not first:
        return False
    if first.startswith(GREETING) and first != _greeting(cluster):
        raise InputError(
            f"{VARIABLE}: {member} has another cluster than this {cluster.this_member.job} "
            f"{cluster.this_member.index}; give all workers the same, but for their own index"
        )
    return first == _greeting(cluster) or first[3:4] == HTTP2_SETTINGS


@contextlib.contextmanager
def _bounded(cluster: Cluster, timeout: float) -> Iterator[None]:
    """End the process where the block, which may hold Python's lock, takes too long.

    All members have answered, so this happens only where one ends at this very moment.
    """
    if cluster.others:
        _show(
            f"all {len(cluster.members)} workers answer; forming the cluster, which ends this "
            f"process if it takes {timeout:g} s"
        )
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(timeout, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _termination_kept() -> Iterator[None]:
    """SIGTERM ends the process as before: TensorFlow's coordination takes it for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _timeout() -> float:
    text = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(text) if text else TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise InputError(f"{TIMEOUT}={text}: must be a number of seconds above 0")
    return seconds


def _show(message: str) -> None:
    print(f"cluster: {message}", file=sys.stderr, flush=True)
