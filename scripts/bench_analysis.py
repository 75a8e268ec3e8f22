"""Margins that an analysis fits against those that the synthetic fab was made with.

For each seed a fab is simulated (or found in --work) and analysed; a row a case has the true
and the fitted margin with its 95 % interval; the last line counts the intervals that hold the
truth.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import semtf
from semtf.simulation.jobs import field_margin


def main() -> None:
    """Print the rows of all seeds, the count, and the time of each analysis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fab", default="struct")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--work", type=Path, help="Folder of data sets, made where missing.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        print(
            "| seed | case | margin | fitted | 95 % interval | inside |\n|---|---|---|---|---|---|"
        )
        inside = [
            found
            for seed in arguments.seeds
            for found in _seed(work / f"{arguments.fab}-{seed}", seed, arguments)
        ]
    print(f"\n{sum(inside)} of {len(inside)} intervals hold the truth")


def _seed(data: Path, seed: int, arguments: argparse.Namespace) -> list[bool]:
    """Print the rows of one seed; whether each interval holds the truth."""
    if not data.exists():
        semtf.simulate(
            data,
            pairs=arguments.pairs,
            train=arguments.train,
            test=4,
            seed=seed,
            fab=arguments.fab,
        )
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    analysis = semtf.analyze(data)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = []
    for case, margin in analysis.margin.items():
        truth = field_margin(analysis.samples[case].case)
        found.append(margin.low <= truth <= margin.high)
        word = "yes" if found[-1] else "NO"
        interval = f"{margin.low:.0f} to {margin.high:.0f}"
        print(f"| {seed} | {case} | {truth} | {margin.fit:.0f} | {interval} | {word} |")
    print(
        f"<!-- seed {seed}: {seconds:.0f} s, {core:.0f} core seconds, adaptation: "
        f"{analysis.difficulty.level}, gap {analysis.difficulty.gap:.2f} -->",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
