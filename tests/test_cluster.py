"""TF_CONFIG: what is wrong with it is said at once, and no wait is without an end and a voice."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from commands import free_ports, worker_config

from semtf.cluster import Member, configured_cluster
from semtf.cluster_meeting import _greet
from semtf.distribution import follows
from semtf.errors import InputError
from tests.command import finish, start

# Forms the cluster as a training does, computes with it, and waits to be ended.
CODE = """
import sys
from semtf.cli.main import _main
import click
@click.command()
def command():
    from semtf.distribution import choose_strategy
    strategy = choose_strategy()
    import tensorflow as tf
    assert choose_strategy() is strategy
    @tf.function
    def add():
        one = tf.constant(1.0)
        return tf.distribute.get_replica_context().all_reduce("sum", one)
    print(strategy.num_replicas_in_sync, float(strategy.run(add)), flush=True)
    if len(sys.argv) > 1:
        import time
        time.sleep(60)
_main(command, [], "command")
"""


def worker(
    addresses: list[str], index: int, *arguments: str, seconds: float = 60
) -> subprocess.Popen[str]:
    environment = {
        "TF_CONFIG": worker_config(addresses, index),
        "SEMTF_CLUSTER_TIMEOUT": str(seconds),
    }
    return start(*arguments, environment=environment, code=CODE)


TWO = ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG: is not JSON"),
        ("[]", "needs {.cluster"),
        ('{"cluster": {"worker": "a:1"}}', "needs {.cluster"),
        ('{"cluster": {"ps": [], "worker": []}}', "the cluster has ps"),
        ('{"cluster": {"worker": ["a:1"]}}', 'needs "task"'),
        ('{"cluster": {"chief": 1, "worker": ["a:1"]}}', "addresses of chief must be a list"),
        (worker_config(["a"], 0), "address of worker 0 is 'a'; write HOST:PORT"),
        (worker_config(["a:1", "b:port"], 0), "address of worker 1 is 'b:port'"),
        (worker_config(["a:1", "b:70000"], 0), "address of worker 1 is 'b:70000'"),
        (worker_config(["a:1", "a:1"], 0), "a:1 is the address of several tasks"),
        (worker_config(TWO, 2), "the task is worker 2, the cluster has worker 0, worker 1"),
        (worker_config(TWO, -1), "the task is worker -1"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError) as error:
        configured_cluster()
    assert message.replace("{.", '{"') in str(error.value)


def test_a_right_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", worker_config([*TWO, "[::1]:3"], 1))
    cluster = configured_cluster()
    assert cluster is not None
    assert cluster.this_member == Member("worker", 1, "b:2")
    assert [member.socket_address for member in cluster.others] == [("a", 1), ("::1", 3)]
    monkeypatch.setenv("TF_CONFIG", " ")
    assert configured_cluster() is None


def test_a_training_with_a_wrong_one_ends_at_once(fab: Path, tmp_path: Path) -> None:
    process = start(
        "train",
        "--data",
        fab,
        "--run",
        tmp_path / "run",
        environment={"TF_CONFIG": worker_config(TWO, 5)},
    )
    code, _, errors = finish(process)
    assert (code, len(errors)) == (2, 1)
    assert errors[0].startswith("error: TF_CONFIG: the task is worker 5")
    assert not (tmp_path / "run").exists()


def test_a_worker_that_does_not_come_is_waited_for_with_an_end() -> None:
    mine, missing = (f"127.0.0.1:{port}" for port in free_ports(2))
    process = worker([mine, missing], 0, seconds=2)
    _, err = process.communicate(timeout=900)
    assert process.returncode == 1
    assert f"cluster: waiting for worker 1 at {missing}, 2 s at most" in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert f"no answer from worker 1 at {missing} within 2 s" in errors[0]


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_stranger_on_the_port_of_a_worker_is_told(said: bytes) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        greeting = threading.Thread(target=_greet, args=(stranger, said, ended))
        stranger.settimeout(0.2)
        greeting.start()
        (mine,) = (f"127.0.0.1:{port}" for port in free_ports(1))
        its = f"127.0.0.1:{stranger.getsockname()[1]}"
        code, _, errors = finish(worker([mine, its], 0, seconds=2))
        ended.set()
        greeting.join()
    assert (code, len(errors)) == (1, 1)
    assert f"no answer from worker 1 at {its} within 2 s (no worker of semtf listens" in errors[0]


def test_workers_of_different_clusters_are_told() -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    first = worker(addresses[:2], 0)
    second = worker(addresses, 1)
    ends = [finish(process) for process in (first, second)]
    # One of them may have ended before the other came.
    found = [errors[0] for code, _, errors in ends if code == 2]
    assert found
    assert all("has another cluster than this worker" in error for error in found)


def test_a_wrong_one_is_no_matter_where_it_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    for name in ("one", "mirrored", "tpu"):
        assert not follows(name)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_waiting_worker_can_be_ended(sent: signal.Signals) -> None:
    mine, missing = (f"127.0.0.1:{port}" for port in free_ports(2))
    # A shell without job control has its background processes ignore SIGINT, these tests too.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = worker([mine, missing], 0, seconds=600)
    signal.signal(signal.SIGINT, inherited)
    assert process.stderr is not None
    assert "waiting for worker 1" in process.stderr.readline()
    begun = time.monotonic()
    os.kill(process.pid, sent)
    process.communicate(timeout=300)
    assert process.returncode == {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 1}[sent]
    assert time.monotonic() - begun < 60


def test_two_workers_that_start_apart_compute_together_and_can_be_ended() -> None:
    """TensorFlow's coordination takes SIGTERM for itself; it still ends a worker."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    first = worker(addresses, 1, "stay")
    assert first.stderr is not None
    assert "waiting for worker 0" in first.stderr.readline()
    second = worker(addresses, 0, "stay")
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline() == "2 2.0\n"
    for process in (first, second):
        process.terminate()
    for process in (first, second):
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGTERM


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = finish(worker([address, "127.0.0.1:9"], 0, seconds=5))
    assert code == 2
    assert "cannot listen on its port" in errors[0]
