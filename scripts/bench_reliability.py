"""What docs/reliability.md promises, measured: odd images, order, fuzz, kills.

    scripts/bench reliability [--run saved_models/synthetic] [--images data/test/SEM]
                              [--parts numbers,order,fuzz,kill,load] [--kills 8]
                              [--data data] [--commands pack,train,…]

- numbers: images that no run was trained for: flagged, sigma beside that of usual images, NaN.
- order: the largest change of a depth by the order and the batch size of images.
- fuzz: the slow fuzz tests; how many cases each ran.
- kill: packing, training, prediction, report, export and benchmark killed at random moments
  (`kills.py`); what readers see, and how each ends.

- load: the slow load test: 64 clients beside rude ones for five minutes, 20 swaps of versions, on
  workers without a model. With one it is `scripts/bench serving --parts soak`.
"""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from commands import finish
from kills import commands
from kills import kill as kill_command
from odd_images import ODD

HERE = Path(__file__).parent
PARTS = ("numbers", "order", "fuzz", "kill", "load")
COUNT = 64
BATCHES = (1, 2, 3, 5, 7, 31, 64, 128)
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
    orders = np.arange(len(usual)), np.random.default_rng(0).permutation(len(usual))
    largest = {"depth": 0.0, "sigma": 0.0, "case_probability": 0.0}
    for batch, chosen in itertools.product(BATCHES, orders):
        other = estimator.predict(usual[chosen], batch=batch)
        for name in largest:
            difference = np.abs(getattr(other, name) - getattr(base, name)[chosen])
            largest[name] = max(largest[name], float(difference.max()))
    for name, value in largest.items():
        print(f"order and batch size change {name} by at most {value:.2g}")


def fuzz() -> None:
    """Run the slow fuzz tests."""
    for file, content in FUZZ.items():
        start = time.perf_counter()
        done = finish(["-m", "pytest", "-q", "-m", "slow", file], cwd=HERE.parent)
        outcome = "none failed" if done.returncode == 0 else "FAILED"
        print(f"{content}: {outcome}, {time.perf_counter() - start:.0f} s ({file})", flush=True)
        if done.returncode:
            print(done.stdout[-2000:])


def load() -> None:
    """Run the slow load test, and print what it prints."""
    file = "tests/serving/server/test_load.py"
    done = finish(["-m", "pytest", "-q", "-s", "-m", "slow", file], cwd=HERE.parent)
    print(done.stdout[-2000:])
    if done.returncode:
        raise SystemExit(f"{file}: failed")


def kill(run: Path, data: Path, kills: int, names: list[str] | None) -> None:
    """Kill commands at random moments and look at what they leave."""
    chosen = commands(data, run)
    with tempfile.TemporaryDirectory() as work:
        for name in names or chosen:
            print(kill_command(name, chosen[name], Path(work), kills), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("saved_models/synthetic"))
    parser.add_argument("--images", type=Path, default=Path("data/test/SEM"))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--data", type=Path, default=Path("data"), help="what is packed, trained")
    parser.add_argument("--kills", type=int, default=8, help="of each command")
    parser.add_argument("--commands", help="which are killed; all where left out")
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
        elif part == "load":
            load()
        else:
            names = arguments.commands.split(",") if arguments.commands else None
            kill(arguments.run, arguments.data, arguments.kills, names)


if __name__ == "__main__":
    main()
