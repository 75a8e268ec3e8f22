"""Every claim of the recipe as an experiment: two methods of `semtf benchmark` on the same images.

    scripts/bench claims [--claims neighbours centre …] [--fabs struct:0 tonal:0 random:0 random:1]
                         [--seeds 0] [--keys adapted] [--pairs 500] [--work DIR] [--list]

A fab is made with `semtf simulate` (``--pairs`` pairs, 300 fab and 100 test images of cases 1 and
2, its seed behind the colon); methods are compared on the test images of case 1, the case given;
those of `one-model` on both cases' images, those of `transfer` on case 2's. Networks are trained
with the preset `quick` on all pairs of these cases. With ``--keys target``, or others, these take
the place of adapted keys, so that nothing is trained where a claim is about estimators. ``--work``
keeps fabs, networks and finished rows, so that an interrupted benchmark goes on. The effect is how
much smaller the RMSE of the first method is than that of the second, with the 95 % interval of the
images drawn again; rows of several seeds count as more images. A claim holds where that interval
lies above zero on every fab, fails where it lies below on every fab, and is mixed otherwise.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from semtf.benchmark.registry import EPOCHS, Method, chosen
from semtf.benchmark.rows import Row, Rows

FABS = ("struct:0", "tonal:0", "random:0", "random:1")
PAIRS, FAB, TEST, CASE, CASES = 500, 300, 100, 1, (1, 2)
KEYS = "adapted"
SIZES = (250, 500, 1000, 2000, 5000, 10_000, 20_000)
QUALITIES = ("none", "epoch-1", "epoch-4", "adapted")
"""Keys of an encoder-decoder's rows, the adaptation's quality rising."""
OTHERS = (
    "retrieval", "regression", "unet-clean", "unet-noise", "unet-noise-adabn", "unet-noise-shuffled"
)  # fmt: skip
"""Estimators beside the default in these rows."""
BEYOND = 10**9
LARGE = "struct:7"
"""The fab whose pairs are counted, with as many as the largest size."""


class Claim(NamedTuple):
    """A claim: what it says, and pairs of methods of which the first should be better.

    Attributes:
        cases: for which the methods are fitted.
        judged: on whose images they are compared; those of all where None.
    """

    says: str
    comparisons: tuple[tuple[str, str], ...]
    cases: tuple[int, ...] = (CASE,)
    judged: int | None = None

    def with_keys(self, keys: str) -> "Claim":
        """The claim about these keys in place of the adapted ones, each comparison once."""
        comparisons = dict.fromkeys(
            (_with_keys(first, keys), _with_keys(second, keys))
            for first, second in self.comparisons
        )
        return self._replace(comparisons=tuple(comparisons))

    @property
    def names(self) -> list[str]:
        """The methods that it compares, each once."""
        return list(dict.fromkeys(name for pair in self.comparisons for name in pair))


def _with_keys(name: str, keys: str) -> str:
    own, _, estimator = name.partition("/")
    return f"{keys}/{estimator}" if own == KEYS else name


CLAIMS: dict[str, Claim] = {
    "adaptation": Claim("adapted keys are better than the simulator's", (
        ("adapted/nearest", "none/nearest"), ("adapted/tuned", "none/tuned"),
        ("adapted/tuned", "moment/tuned"), ("adapted/tuned", "percentile/tuned"),
        ("auto/tuned", "adapted/tuned"), ("auto/tuned", "moment/tuned"))),
    "neighbours": Claim("several neighbours are better than one", (
        ("adapted/softmax-8", "adapted/nearest"), ("adapted/softmax-32", "adapted/softmax-8"))),
    "weights": Claim("softmax is not the best weight function", (
        ("adapted/reconstruction-64", "adapted/softmax-8"),
        ("adapted/kernel-8", "adapted/softmax-8"),
        ("adapted/inverse-8", "adapted/softmax-8"), ("adapted/uniform-8", "adapted/softmax-8"))),
    "default": Claim("the default is as good as every single estimator", (
        ("adapted/tuned", "adapted/retrieval"), ("adapted/tuned", "adapted/regression"),
        ("adapted/tuned", "adapted/reconstruction-64"))),
    "centre": Claim("aligned centres are as good as shifts", (
        ("adapted/nearest-centre", "adapted/nearest"), ("none/nearest-centre", "none/nearest"),
        ("target/nearest-centre", "target/nearest"))),
    "shifts": Claim("shifts that wrap around, and depth that is not moved back, do harm", (
        ("adapted/nearest", "adapted/nearest-wrapped"),
        ("adapted/nearest", "adapted/nearest-unmoved"),
        ("adapted/nearest", "adapted/nearest-winner"))),
    "exposures": Claim("the mean of both exposures is all the denoising that is needed", (
        ("none/nearest", "none-one-exposure/nearest"),
        ("adapted/nearest", "adapted-one-exposure/nearest"),
        ("adapted/tuned", "adapted-one-exposure/tuned"))),
    "depth": Claim("the depths of simulator and fab are equal", (
        ("adapted/retrieval", "adapted/depth-differs"),)),
    "epochs": Claim("more epochs are better", tuple(
        (f"{later}/tuned", f"{sooner}/tuned")
        for sooner, later in zip(
            ("none", *(f"epoch-{epoch}" for epoch in EPOCHS)),
            (*(f"epoch-{epoch}" for epoch in EPOCHS), "adapted"),
            strict=True,
        ))),
    "loss": Claim("WGAN-GP is better than LSGAN", (
        ("adapted/nearest", "lsgan/nearest"), ("adapted/tuned", "lsgan/tuned"))),
    "encoder-decoder": Claim("retrieval is robust where an encoder-decoder is not", tuple(
        (f"{keys}/tuned", f"{keys}/{other}") for keys in QUALITIES for other in OTHERS)),
    "one-model": Claim("one model a case is better than one for all", (
        ("cyclegan/nearest", "joint/nearest"), ("cyclegan/tuned", "joint/tuned")), CASES),
    "transfer": Claim("a case that starts from case 1 is better than one from new networks", (
        ("cyclegan/nearest", "cold/nearest"), ("cyclegan/tuned", "cold/tuned")), CASES, 2),
}  # fmt: skip
PAIRS_CLAIM = "pairs"
PAIRS_METHODS = ("target/nearest", "target/tuned", "moment/nearest", "moment/tuned")


class Fab(NamedTuple):
    """A synthetic fab and where it is kept."""

    name: str
    work: Path
    pairs: int

    @property
    def folder(self) -> Path:
        """Its data, networks and rows."""
        return self.work / f"{self.name.replace(':', '_')}_{self.pairs}"

    @property
    def data(self) -> Path:
        """Its images."""
        return self.folder / "data"

    def rows(
        self,
        methods: Sequence[Method],
        seeds: Sequence[int],
        stored: int | None = None,
        cases: tuple[int, ...] = (CASE,),
    ) -> Rows:
        """Compute what is missing of the rows of methods for these cases, and read all."""
        from semtf.benchmark.benchmark import benchmark
        from semtf.benchmark.world import Settings
        from semtf.cases import CHALLENGE
        from semtf.data.dataset import open_dataset
        from semtf.presets import preset
        from semtf.simulation.world import simulate

        kind, _, seed = self.name.partition(":")
        if not self.data.exists():
            simulate(
                self.data, pairs=self.pairs, train=FAB, test=TEST, seed=int(seed or 0), fab=kind,
                target_keys=True, cases=tuple(case for case in CHALLENGE if case.case in CASES),
            )  # fmt: skip
        kept = Rows(self.folder / f"rows_{'_'.join(map(str, cases))}.jsonl")
        benchmark(
            open_dataset(self.data, cache=self.folder / "cache"),
            self.data / "truth",
            methods,
            Settings(preset("quick"), self.folder / "networks", stored),
            cases=cases,
            seeds=seeds,
            rows=kept,
        )
        return kept

    def judged(self, claim: Claim) -> np.ndarray | None:
        """Which test images of a claim's cases it is judged on; all where None."""
        if claim.judged is None:
            return None
        cases = pd.read_csv(self.data / "truth" / "cases.csv").sort_values("name")["case"]
        return (cases[cases.isin(claim.cases)] == claim.judged).to_numpy()


def joined(
    rows: Rows,
    name: str,
    seeds: Sequence[int],
    stored: int | None = None,
    judged: np.ndarray | None = None,
) -> Row | None:
    """A method's rows of all seeds as one, of the judged images; None where one is missing."""
    found = [rows.find({"name": name, "seed": seed, "pairs": stored}) for seed in seeds]
    if None in found:
        return None
    squares = np.array([row["squares"] for row in found if row is not None])
    if judged is not None:
        squares = squares[:, judged]
    seconds = np.mean([row["fit_s"] for row in found if row is not None])
    rmse = float(np.sqrt(squares.mean()))
    return {"name": name, "squares": squares.ravel(), "rmse": rmse, "fit_s": float(seconds)}


def verdict(effects: Sequence[tuple[float, float, float]]) -> str:
    """What the effects of a comparison on all fabs say together."""
    if not effects:
        return "not measured"
    if all(low > 0 for _, low, _ in effects):
        return "holds"
    if all(high < 0 for _, _, high in effects):
        return "fails"
    if all(low <= 0 <= high for _, low, high in effects):
        return "no difference seen"
    return "mixed"


def report(
    name: str,
    claim: Claim,
    rows: dict[str, tuple[Rows, np.ndarray | None]],
    seeds: Sequence[int],
) -> str:
    """A claim's table in Markdown: a row a comparison, a column a fab with its judged images.

    A line below says how long the methods took to fit, in the mean over fabs and seeds.
    """
    from semtf.benchmark.scores import effect

    lines = [
        f"### {name}: {claim.says}", "",
        "| better? | than | " + " | ".join(rows) + " | verdict |", "|---" * (3 + len(rows)) + "|",
    ]  # fmt: skip
    for first, second in claim.comparisons:
        cells, effects = [], []
        for found, judged in rows.values():
            a, b = (joined(found, m, seeds, judged=judged) for m in (first, second))
            if a is None or b is None:
                cells.append("not measured")
                continue
            # The rows of several seeds are of the same images.
            images = np.tile(np.arange(len(a["squares"]) // len(seeds)), len(seeds))
            gain, low, high = effect(a, b, images)
            effects.append((gain, low, high))
            errors = f"{a['rmse']:.2f} / {b['rmse']:.2f}"
            cells.append(f"{errors}: {gain:+.1%} ({low:+.1%} to {high:+.1%})")
        told = f"`{first}` | `{second}`"
        lines.append(f"| {told} | {' | '.join(cells)} | {verdict(effects)} |")
    return "\n".join([*lines, "", took(claim.names, [found for found, _ in rows.values()], seeds)])


def took(names: Sequence[str], rows: Sequence[Rows], seeds: Sequence[int]) -> str:
    """How long methods took to fit, in seconds, training included; a sentence."""
    seconds = {}
    for name in names:
        found = [row["fit_s"] for row in (joined(r, name, seeds) for r in rows) if row is not None]
        if found:
            seconds[name] = np.mean(found)
    told = ", ".join(f"`{name}` {value:.0f}" for name, value in seconds.items())
    return f"Seconds to fit: {told or 'nothing was measured'}."


def law(sizes: Sequence[int], errors: Sequence[float]) -> tuple[float, float, float]:
    """Least squares of ``floor + scale · pairs^-power`` over the relative error.

    Returns:
        Floor, scale and power; the floor is one of a grid from 0 to the least error.
    """
    n, e = np.asarray(sizes, float), np.asarray(errors, float)
    best = (np.inf, 0.0, 0.0, 0.0)
    for floor in np.linspace(0.0, 0.98 * e.min(), 50):
        slope, start = np.polyfit(np.log(n), np.log(e - floor), 1)
        rest = np.log((floor + np.exp(start) * n**slope) / e)
        best = min(best, (float(np.square(rest).sum()), floor, float(np.exp(start)), -slope))
    return best[1:]


def pairs_for(error: float, fitted: tuple[float, float, float]) -> str:
    """How many pairs a law needs for an error, in words."""
    floor, scale, power = fitted
    if error <= floor or power <= 0:
        return "no number"
    count = np.log10(scale / (error - floor)) / power
    return f"{10**count:,.0f}" if count < np.log10(BEYOND) else f"more than {BEYOND:,}"


def pairs_report(rows: Rows, seeds: Sequence[int]) -> str:
    """The error over the number of pairs, its law, and how many another 10 % would need."""
    head = "| method | " + " | ".join(map(str, SIZES)) + " | law | pairs for 10 % less |"
    lines = [f"### {PAIRS_CLAIM}: the error falls with the number of pairs", "", head,
             "|---" * (3 + len(SIZES)) + "|"]  # fmt: skip
    for name in PAIRS_METHODS:
        found = [joined(rows, name, seeds, size) for size in SIZES]
        errors = [row["rmse"] for row in found if row is not None]
        if len(errors) < len(SIZES):
            lines.append(f"| `{name}` |" + " not measured |" * (2 + len(SIZES)))
            continue
        floor, scale, power = law(SIZES, errors)
        cells = " | ".join(f"{error:.2f}" for error in errors)
        lines.append(
            f"| `{name}` | {cells} | {floor:.2f} + {scale:.2f}·n^−{power:.2f} | "
            f"{pairs_for(0.9 * errors[-1], (floor, scale, power))} |"
        )
    return "\n".join(lines)


def methods_of(claim: Claim) -> list[Method]:
    """The methods that a claim compares."""
    return chosen(claim.names)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    names = [*CLAIMS, PAIRS_CLAIM]
    parser.add_argument("--claims", nargs="+", choices=names, default=names)
    parser.add_argument("--fabs", nargs="+", default=list(FABS), help="struct:0, random:3, …")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="seeds of the methods")
    parser.add_argument("--keys", default=KEYS, help="in place of the adapted keys; target, …")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of a fab")
    parser.add_argument("--work", type=Path, help="keep fabs, networks and rows here")
    parser.add_argument("--list", action="store_true", help="list the claims and end")
    arguments = parser.parse_args(given)
    if arguments.list:
        for name, claim in CLAIMS.items():
            print(f"{name}: {claim.says}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        work, seeds = arguments.work or Path(temporary), arguments.seeds
        for name in arguments.claims:
            if name == PAIRS_CLAIM:
                large = Fab(LARGE, work, max(SIZES))
                for size in SIZES:
                    kept = large.rows(chosen(list(PAIRS_METHODS)), seeds, size)
                print(pairs_report(kept, seeds), end="\n\n", flush=True)
                continue
            claim, rows = CLAIMS[name].with_keys(arguments.keys), {}
            for fab in (Fab(fab, work, arguments.pairs) for fab in arguments.fabs):
                kept = fab.rows(methods_of(claim), seeds, cases=claim.cases)
                rows[fab.name] = kept, fab.judged(claim)
            print(report(name, claim, rows, seeds), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
