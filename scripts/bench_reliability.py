"""What docs/reliability.md promises, measured: odd images, order, fuzz, kills.

    scripts/bench reliability [--run saved_models/synthetic] [--images data/test/SEM]
                              [--parts numbers,order,fuzz,kill] [--kills 10]

- numbers: images that no run was trained for: flagged, sigma beside that of usual images, NaN.
- order: the largest change of a depth by the order and the batch size of images.
- fuzz: the slow fuzz tests; how many cases each ran.
- kill: `semtf predict` killed at random moments; what readers see, and how it ends.

Load, swaps of versions and memory are `scripts/bench serving --parts soak`.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from commands import SEMTF
from odd_images import ODD

HERE = Path(__file__).parent
PARTS = ("numbers", "order", "fuzz", "kill")
COUNT = 64
FUZZ = {
    "tests/data/test_fuzz.py": "220,000 PNG and TIFF files",
    "tests/test_fuzz_texts.py": "12,000 CSV, JSON, settings and manifest files",
    "tests/serving/server/test_fuzz.py": "20,000 REST bodies",
}


def numbers(run: Path, images: Path) -> None:
    """A table of odd images."""
    from semtf.data.image_folder import open_images
    from semtf.estimation.estimator import load

    estimator = load(run)
    usual = np.array(open_images(images).images[:COUNT])
    base = estimator.predict(usual)
    sigma = float(base.sigma.mean())
    print("| images | flagged | sigma, of usual images' | similarity | case sure | NaN |")
    print("|---|---|---|---|---|---|")
    for name, make in ({"usual": np.copy} | ODD).items():
        result = estimator.predict(make(usual))
        finite = all(np.isfinite(part).all() for part in (result.depth, result.sigma))
        flagged = np.mean([bool(flags) for flags in result.flags])
        print(
            f"| {name} | {flagged:.0%} | {result.sigma.mean() / sigma:.2f} | "
            f"{result.similarity.mean():.3f} | {result.case_probability.mean():.1%} | "
            f"{'none' if finite else 'SOME'} |",
            flush=True,
        )


def order(run: Path, images: Path) -> None:
    """How far depth and sigma move with the order of images and the size of batches."""
    from semtf.data.image_folder import open_images
    from semtf.estimation.estimator import load

    estimator = load(run)
    usual = np.array(open_images(images).images[:COUNT])
    base = estimator.predict(usual)
    shuffled = np.random.default_rng(0).permutation(len(usual))
    largest = {"depth": 0.0, "sigma": 0.0}
    for batch, chosen in ((1, slice(None)), (7, slice(None)), (128, shuffled), (5, shuffled)):
        other = estimator.predict(usual[chosen], batch=batch)
        for name in largest:
            difference = np.abs(getattr(other, name) - getattr(base, name)[chosen])
            largest[name] = max(largest[name], float(difference.max()))
    for name, value in largest.items():
        print(f"order and batch size change {name} by at most {value:.2g} grey levels")


def fuzz() -> None:
    """Run the slow fuzz tests."""
    for file, content in FUZZ.items():
        start = time.perf_counter()
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", file]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)  # noqa: S603 - our own interpreter
        outcome = "none failed" if done.returncode == 0 else "FAILED"
        print(f"{content}: {outcome}, {time.perf_counter() - start:.0f} s ({file})", flush=True)
        if done.returncode:
            print(done.stdout[-2000:])


def kill(run: Path, images: Path, kills: int) -> None:
    """Kill a prediction at random moments and look at what it leaves."""
    with tempfile.TemporaryDirectory() as work:
        whole, out = Path(work) / "whole", Path(work) / "out"
        start = time.perf_counter()
        predict(run, images, whole).wait()
        seconds = time.perf_counter() - start
        wanted, killed = contents(whole), 0
        moments = np.random.default_rng(0).uniform(0, seconds, kills)
        for moment in moments:
            process = predict(run, images, out)
            try:
                process.wait(timeout=float(moment))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            seen = contents(out)
            table = "predictions.csv" in seen
            right = all(wanted.get(name) == digest for name, digest in seen.items())
            if not right or (table and seen != wanted):
                raise SystemExit(f"a reader sees half a prediction after {moment:.2f} s")
        predict(run, images, out).wait()
        same = "the same bytes" if contents(out) == wanted else "OTHER BYTES"
        hidden = [path for path in out.iterdir() if path.name.startswith(".")]
        left = ", files left behind" if hidden else ", nothing left behind"
        print(f"predict: killed {killed} times in {kills}, then ended in {same}{left}")


def predict(run: Path, images: Path, out: Path) -> subprocess.Popen[bytes]:
    options = ["predict", "--run", str(run), "--images", str(images), "--out", str(out)]
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [*SEMTF, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def contents(folder: Path) -> dict[str, str]:
    """By name, the SHA-256 of the files of a folder that a reader sees."""
    if not folder.is_dir():
        return {}
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("saved_models/synthetic"))
    parser.add_argument("--images", type=Path, default=Path("data/test/SEM"))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--kills", type=int, default=10)
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for part in parts:
        if part == "numbers":
            numbers(arguments.run, arguments.images)
        elif part == "order":
            order(arguments.run, arguments.images)
        elif part == "fuzz":
            fuzz()
        else:
            kill(arguments.run, arguments.images, arguments.kills)


if __name__ == "__main__":
    main()
