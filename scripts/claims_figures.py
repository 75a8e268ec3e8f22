"""Write the figures of docs/claims.md from the rows that `scripts/bench claims --work DIR` kept.

    python scripts/claims_figures.py --work DIR [--fabs struct:0 random:1] [--seeds 0]
                                     [--out docs/images]

- claims-encoder-decoder.png: the error of estimators over the adaptation's quality, by fab.
- claims-pairs.png: the error over the number of stored pairs, with the fitted law.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_claims import (
    LARGE,
    OTHERS,
    PAIRS,
    PAIRS_METHODS,
    QUALITIES,
    SIZES,
    Fab,
    joined,
    law,
)  # fmt: skip
from matplotlib.figure import Figure

from semtf.benchmark.rows import Rows
from semtf.errors import InputError


def kept(fab: Fab) -> Rows:
    """The rows of case 1 of a fab; raises InputError where there are none."""
    path = fab.folder / "rows_1.jsonl"
    if not path.exists():
        raise InputError(f"{path}: is not there; run scripts/bench claims --work {fab.work}")
    return Rows(path)


def errors(
    rows: Rows, names: Sequence[str], seeds: Sequence[int], sizes: Sequence[int | None]
) -> list[float]:
    """The RMSE of each method, of each with its number of pairs; NaN where it was not measured."""
    found = [joined(rows, n, seeds, size) for n, size in zip(names, sizes, strict=True)]
    return [np.nan if row is None else row["rmse"] for row in found]


def qualities(fabs: Sequence[Fab], seeds: Sequence[int]) -> Figure:
    """Lines of all estimators over the keys' quality, a panel a fab."""
    figure = Figure(figsize=(4.2 * len(fabs), 3.6), layout="constrained")
    for axes, fab in zip(figure.subplots(1, len(fabs), squeeze=False)[0], fabs, strict=True):
        rows = kept(fab)
        for estimator in ("tuned", *OTHERS):
            names = [f"{keys}/{estimator}" for keys in QUALITIES]
            marked = "o--" if estimator.startswith("unet") else "o-"
            axes.plot(QUALITIES, errors(rows, names, seeds, [None] * 4), marked, label=estimator)
        axes.set(title=fab.name, ylabel="RMSE (grey levels)", xlabel="keys", yscale="log")
        ticks = [2, 3, 4, 6, 8, 12, 16]
        axes.set_yticks(ticks, list(map(str, ticks)), minor=False)
        axes.minorticks_off()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def pairs(fab: Fab, seeds: Sequence[int]) -> Figure:
    """Points and fitted laws over the number of pairs."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    rows, line = kept(fab), np.geomspace(SIZES[0], SIZES[-1], 100)
    for colour, name in enumerate(PAIRS_METHODS):
        found = errors(rows, [name] * len(SIZES), seeds, SIZES)
        floor, scale, power = law(SIZES, found)
        axes.plot(SIZES, found, "o", color=f"C{colour}", label=name)
        axes.plot(line, floor + scale * line**-power, color=f"C{colour}", linewidth=1)
    axes.set(
        xscale="log", xlabel="pairs", ylabel="RMSE (grey levels)", title=fab.name, ylim=(0, None)
    )
    axes.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="as of scripts/bench claims")
    parser.add_argument("--fabs", nargs="+", default=["struct:0", "random:1"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    fabs = [Fab(name, arguments.work, PAIRS) for name in arguments.fabs]
    made = {
        "claims-encoder-decoder.png": qualities(fabs, arguments.seeds),
        "claims-pairs.png": pairs(Fab(LARGE, arguments.work, max(SIZES)), [0]),
    }
    for name, figure in made.items():
        figure.savefig(arguments.out / name, dpi=110)
        print(arguments.out / name)


if __name__ == "__main__":
    main()
