"""`semtf serve` at the challenge's size: latency, throughput, failures and memory over swaps.

    scripts/bench serving [--run saved_models/synthetic] [--pairs 21663] [--index exact,scann]
                          [--parts latency,throughput,soak] [--seconds 60] [--requests 20000]

The classifier and the adapters are those of a trained run (`scripts/run` makes one); the storage
of each case is as large as the challenge's: as many structures of a synthetic `struct` fab, their
keys as the fab's microscope shows them (scripts/challenge_size.py). It is built once, in --work,
and used again. The load comes from a process of its own over loopback and sends base64 PNG files.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import httpx
import numpy as np
from commands import SEMTF, spawn

from semtf.data.png import encode_png

HERE = Path(__file__).parent
SWAPS, CLIENTS, QUERIES = 5, 32, 400
LOAD_SECONDS = 900.0


def build(run: Path, pairs: int, work: Path) -> Path:
    """A run folder with a storage of that size in each case, and images to send."""
    from challenge_size import IMAGES, full_size_run, world

    folder = work / f"run-{pairs}"
    if (folder / IMAGES).exists():
        return folder
    return full_size_run(run, world(pairs, 1, None), QUERIES, work)


def exported(run: Path, index: str, work: Path) -> Path:
    """The version folder of an export, made in a process that ends."""
    out = work / f"{run.name}-{index}" / "1"
    if not out.exists():
        start = time.perf_counter()
        command = ["export", "--run", str(run), "--out", str(out), "--index", index]
        if spawn([*SEMTF, *command, "--no-verify"]).wait():
            raise SystemExit(f"{run}: not exported")
        print(f"{index}: exported in {time.perf_counter() - start:.0f} s", flush=True)
    return out


class Server:
    """A `semtf serve` process on a folder of versions."""

    def __init__(self, model: Path) -> None:
        self.process = spawn(
            [*SEMTF, "serve", "--model", str(model), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stdout = self.process.stdout
        self.url = "" if stdout is None else stdout.readline().decode().strip()

    def states(self) -> dict[str, str]:
        with contextlib.suppress(httpx.HTTPError):
            entries = httpx.get(self.url).raise_for_status().json()["model_version_status"]
            return {entry["version"]: entry["state"] for entry in entries}
        return {}

    def wait(self, version: str, state: str) -> float:
        """Seconds until a version is in a state."""
        start = time.perf_counter()
        while self.states().get(version) != state:
            if time.perf_counter() - start > LOAD_SECONDS:
                raise SystemExit(f"version {version} is not {state} in time")
            time.sleep(0.2)  # the REST interface tells a state, and cannot wait for one
        return time.perf_counter() - start

    def memory(self) -> float:
        """Resident memory of the server and its workers, MiB."""
        pids = [self.process.pid]
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            pids += map(int, children.read_text().split())
        total = 0.0
        for pid in pids:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return total / 1024


@contextlib.contextmanager
def serving(model: Path) -> Iterator[Server]:
    server = Server(model)
    try:
        print(f"loaded and warm in {server.wait('1', 'AVAILABLE'):.0f} s", flush=True)
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def bodies(images: np.ndarray, signature: str, each: int, path: Path) -> Path:
    """Requests of ``each`` images as a file for the load generator."""
    texts = []
    for start in range(0, len(images) - each + 1, each):
        instances = [
            {"b64": base64.b64encode(encode_png(image)).decode()}
            for image in images[start : start + each]
        ]
        texts.append(json.dumps({"signature_name": signature, "instances": instances}))
    path.write_text(json.dumps(texts))
    return path


def load(server: Server, path: Path, **options: float | Path) -> subprocess.Popen[bytes]:
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [str(HERE / "http_load.py"), f"{server.url}:predict", str(path)]
    return spawn([*command, *arguments], stdout=subprocess.PIPE)


def result(process: subprocess.Popen[bytes]) -> dict[str, float]:
    figures: dict[str, float] = json.loads(process.communicate()[0])
    return figures


def report(server: Server, images: np.ndarray, parts: set[str], seconds: float, work: Path) -> None:
    """Latency of one client, and throughput of 32."""
    rows = []
    if "latency" in parts:
        rows += [(name, 1, 1, 500) for name in ("serving_default", "predict_png")]
    if "throughput" in parts:
        rows += [("serving_default", CLIENTS, 1, 10**6), ("predict_png", CLIENTS, 1, 10**6)]
        rows += [("predict_png", CLIENTS, 8, 10**6)]
    print("| signature | clients | images a request | images/s | p50 ms | p99 ms | failed |")
    print("|---|---|---|---|---|---|---|")
    for signature, clients, each, requests in rows:
        path = bodies(images, signature, each, work / "bodies.json")
        result(load(server, path, clients=clients, seconds=2))
        figures = result(load(server, path, clients=clients, seconds=seconds, requests=requests))
        speed = figures["a_second"] * each
        print(
            f"| {signature} | {clients} | {each} | {speed:.0f} | {figures['p50']:.1f} | "
            f"{figures['p99']:.1f} | {figures['failed']} |",
            flush=True,
        )


def soak(server: Server, model: Path, images: np.ndarray, requests: int, work: Path) -> None:
    """Memory over many requests and new versions, and whether any request fails."""
    path = bodies(images, "predict_png", 1, work / "bodies.json")
    print("\n| | requests | failed | resident MiB |\n|---|---|---|---|")
    result(load(server, path, clients=CLIENTS, seconds=60, requests=requests // 10))
    first = server.memory()
    print(f"| warm | {requests // 10} | | {first:.0f} |", flush=True)
    each = requests // (SWAPS + 1)
    figures = result(load(server, path, clients=CLIENTS, seconds=600, requests=each))
    print(f"| version 1 | {each} | {figures['failed']} | {server.memory():.0f} |", flush=True)
    done = work / "done"
    for version in range(2, SWAPS + 2):
        done.unlink(missing_ok=True)
        process = load(server, path, clients=CLIENTS, seconds=LOAD_SECONDS, until=done)
        shutil.copytree(model / "1", model / ".next", copy_function=os.link)
        (model / ".next").rename(model / str(version))
        server.wait(str(version), "AVAILABLE")
        server.wait(str(version - 1), "END")
        done.touch()
        during = result(process)
        after = result(load(server, path, clients=CLIENTS, seconds=300, requests=each))
        sent = during["requests"] + after["requests"]
        failed = during["failed"] + after["failed"]
        print(f"| version {version} | {sent} | {failed} | {server.memory():.0f} |", flush=True)
    print(f"\nmemory at the end: {server.memory() / first - 1:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("saved_models/synthetic"))
    parser.add_argument("--pairs", type=int, default=21_663)
    parser.add_argument("--index", default="exact,scann")
    parser.add_argument("--parts", default="latency,throughput,soak")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=20_000)
    work = Path(tempfile.gettempdir()) / "semtf-bench-serving"
    parser.add_argument("--work", type=Path, default=work)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the server ends, too
    if not arguments.run.is_dir():
        raise SystemExit(f"{arguments.run}: no run there; make one with scripts/run, or give --run")
    arguments.work.mkdir(parents=True, exist_ok=True)
    run = build(arguments.run, arguments.pairs, arguments.work)
    images, parts = np.load(run / "images.npy"), set(arguments.parts.split(","))
    images = images[np.random.default_rng(0).permutation(len(images))]
    for index in arguments.index.split(","):
        version = exported(run, index, arguments.work)
        for other in version.parent.glob("[2-9]*"):
            shutil.rmtree(other)
        shutil.rmtree(version.parent / ".next", ignore_errors=True)
        print(f"\n## {index}, {arguments.pairs} pairs a case\n", flush=True)
        with serving(version.parent) as server:
            report(server, images, parts, arguments.seconds, arguments.work)
            if "soak" in parts:
                soak(server, version.parent, images, arguments.requests, arguments.work)
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
