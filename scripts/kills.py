"""Commands of semtf killed at random moments: what a reader sees, and how they end.

Each command runs to its end once. Then it is started and killed, again and again, in one place;
after every kill the files that have their names are compared with those of the whole run. In the
end it runs to its end there, and all files are compared.
"""

import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import SEMTF, finish, spawn

from semtf.manifest import MANIFEST, check_manifest

PACK = """import sys
from pathlib import Path
from semtf.data.dataset import open_dataset
open_dataset(sys.argv[1], cache=Path(sys.argv[2]))"""
TIME = re.compile(rb"\d{4}-\d{2}-\d{2} \d{2}:\d{2}")
TIMED = frozenset({
    "manifest.json", "timings.json", "report.html", "fingerprint.pb", "saved_model.pb",
    "variables.index", "variables.data-00000-of-00001", "table.csv", "table.jsonl",
})  # fmt: skip
"""Files that have dates or seconds, hashes of them, or what TensorFlow writes in an order that
differs from process to process: names are compared, and hashes with those of their manifest."""
TEMPORARY = frozenset({".part", ".partial", ".old"})
"""Suffixes of what no reader takes for a result."""
SMALL = (
    "--deterministic", "--set", "adaptation.width=4", "--set", "adaptation.batch=4",
    "--set", "adaptation.warm_up_steps=2", "--set", "adaptation.first_epochs=20",
    "--set", "adaptation.steps_per_epoch=2",
    "--set", "classification.backbone=small", "--set", "classification.epochs=20",
    "--set", "classification.steps_per_epoch=5", "--case", "1",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Attributes:
        line: the command for an output, which may have remains of a killed one.
        whole: the file whose name comes last: with it, all files are there.
    """

    line: Callable[[Path], list[str]]
    whole: str | None = None


def commands(data: Path, run: Path) -> dict[str, Command]:
    """By name, the commands, for a data set and a trained run."""

    def semtf(*words: str | Path) -> list[str]:
        return [*SEMTF, *map(str, words)]

    def train(out: Path) -> list[str]:
        resume = ["--resume"] if (out / "config.json").exists() else []
        return semtf("train", "--data", data, "--run", out, *SMALL, *resume)

    def pack(out: Path) -> list[str]:
        return ["-c", PACK, str(data), str(out)]

    def predict(out: Path) -> list[str]:
        return semtf("predict", "--run", run, "--images", data / "test" / "SEM", "--out", out)

    def report(out: Path) -> list[str]:
        return semtf("report", "--run", run, "--data", data, "--out", out / "page.html")

    def export(out: Path) -> list[str]:
        return semtf("export", "--run", run, "--out", out / "1", "--index", "exact", "--no-verify")

    def benchmark(out: Path) -> list[str]:
        return semtf("benchmark", "--run", run, "--data", data, "--out", out / "table.csv")

    return {
        "pack": Command(pack),
        "train": Command(train, "report.html"),
        "predict": Command(predict, "predictions.csv"),
        "report": Command(report, "page.html"),
        "export": Command(export, "1/saved_model.pb"),
        "benchmark": Command(benchmark, "table.csv"),
    }


def kill(name: str, command: Command, work: Path, kills: int) -> str:
    """Kill a command, and tell what became of it.

    Raises:
        SystemExit: a reader saw half of a result, or the end is another than without kills.
    """
    whole, out = work / f"{name}-whole", work / name
    start = time.perf_counter()
    ended(command.line(whole))
    seconds = time.perf_counter() - start
    wanted, killed = contents(whole), 0
    for moment in np.random.default_rng(0).uniform(0, seconds, kills):
        process = started(command.line(out))
        try:
            process.wait(timeout=float(moment))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        seen = contents(out)
        check_manifests(out)
        wrong = [file for file, digest in seen.items() if wanted.get(file) != digest]
        if wrong or (command.whole in seen and seen != wanted):
            raise SystemExit(f"{name}: after {moment:.2f} s a reader sees half of it: {wrong}")
        if command.whole in seen:
            shutil.rmtree(out)
    ended(command.line(out))
    if differing := {file for file, _ in contents(out).items() ^ wanted.items()}:
        raise SystemExit(
            f"{name}: ended in another result after {killed} kills: {', '.join(sorted(differing))}"
        )
    check_manifests(out)
    left = [path.name for path in out.rglob("*") if is_hidden(path.relative_to(out))]
    rest = f"left behind: {', '.join(left)}" if left else "nothing left behind"
    return f"{name} ({seconds:.1f} s): killed {killed} times, then the same result; {rest}"


def started(line: list[str]) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return spawn(line, stdout=null, stderr=null)


def ended(line: list[str]) -> None:
    """Run a command to its end."""
    done = finish(line)
    if done.returncode:
        raise SystemExit(f"{' '.join(line[2:])}: {done.stderr[-500:]}")


def is_hidden(path: Path) -> bool:
    """Whether readers pass a path over: it has a temporary name."""
    names = [Path(part) for part in path.parts]
    return any(name.name.startswith(".") or TEMPORARY & set(name.suffixes) for name in names)


def contents(folder: Path) -> dict[str, str]:
    """By name, the SHA-256 of the files that a reader sees, without times."""
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): "" if name.name in TIMED else digest(path)
        for name, path in paths.items()
        if not is_hidden(name) and "logs" not in name.parts
    }


def check_manifests(folder: Path) -> None:
    """Raise InputError where a folder with a manifest that a reader sees is not what it says."""
    for path in folder.rglob(MANIFEST):
        if not is_hidden(path.relative_to(folder)):
            check_manifest(path.parent, "killed", full=True)


def digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".html":
        content = TIME.sub(b"", content)
    return hashlib.sha256(content).hexdigest()
