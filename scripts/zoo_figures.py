"""Write a figure of docs/adaptation.md: what a run of a zoo's fab makes of its images.

    python scripts/zoo_figures.py SEED [SEED …] --work DIR [--case 1] [--out docs/images]

Eight columns. Above, pairs: the simulator's image, the adapted one, the same hole as the fab's own
microscope shows it, and adapted − true, four times, around mid-grey. Below, test images, those of
the largest error on the right: the fab's image, the estimate, the truth, and their difference,
eight times.
The run is that of `scripts/bench zoo --work DIR`, which makes it.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from bench_adaptation import Bench
from bench_zoo import Fab, with_case_given
from simulator_figures import COLUMNS, sheet

MIDDLE = 128
TIMES_IMAGE, TIMES_DEPTH = 4, 8


def difference(one: np.ndarray, other: np.ndarray, times: int) -> np.ndarray:
    """Their difference around mid-grey, uint8."""
    return grey(MIDDLE + times * (one.astype(np.float32) - other))


def grey(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def rows(fab: Fab, case: int) -> list[np.ndarray]:
    """The eight rows of a figure, ``[8, H, W]`` each."""
    from semtf.estimation.estimator import Estimator
    from semtf.estimation.loading import load_models
    from semtf.run import Run

    bench = Bench(fab.data, case, fab.seed)
    models = load_models(Run.open(fab.run), "exact")
    adapted = np.asarray(models.retrievers[case].storage.keys[:COLUMNS])
    true = bench.true[:COLUMNS]
    estimate = with_case_given(Estimator(models), bench).depth
    error = np.square(estimate - bench.depth).mean(axis=(1, 2))
    chosen = np.argsort(error)[np.linspace(0, len(error) - 1, COLUMNS).astype(int)]
    depth, truth = estimate[chosen], bench.depth[chosen].astype(np.float32)
    low, high = truth.min(), truth.max()
    shown = [grey(255 * (values - low) / (high - low)) for values in (depth, truth)]
    return [
        grey(bench.simulator.mean_sem()[:COLUMNS]),
        adapted,
        true,
        difference(adapted, true, TIMES_IMAGE),
        grey(bench.images[chosen]),
        *shown,
        difference(depth, truth, TIMES_DEPTH),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--work", type=Path, required=True, help="as of scripts/bench zoo")
    parser.add_argument("--case", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        fab = Fab(arguments.work, seed, (1, 2), 500, 1200, 200, False)
        path = arguments.out / f"zoo-fab-{seed}.png"
        sheet(rows(fab, arguments.case)).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
