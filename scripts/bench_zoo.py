"""Training judged on a zoo of fabs: each seed is another fab with other holes and microscopes.

    scripts/bench zoo [--seeds 0 1 2 …] [--cheap] [--cases 1 2] [--pairs 500] [--fab 400]
                      [--test 200] [--out rows.jsonl] [--work DIR]

Each seed's fab is made (`semtf simulate --fab random`), a run is trained with the preset `quick`,
and each case becomes a row. All errors are RMSE over the fab's test images in grey levels, with
the case given, so that only the keys differ: `none` are the simulator's images as they are, `true`
the pairs as the fab's own microscope shows them. The gap closed is (RMSE none − RMSE)/(RMSE none −
RMSE true), with K = 1. The default estimate uses the weights that training chooses without labels;
`decided` is the same with the case as the run's classifier decides it. The RMSE of every epoch
tells how far the epoch that training chose is from the best one, which it does not know.

With ``--cheap`` nothing is trained: the rows say how much of the gap `none`, `percentile` and
`moment` close by themselves, in seconds a fab. By default it looks at case 1 only.

Rows are printed as they come and, with ``--out``, appended to a file of JSON lines; rows that are
there already are not measured again. ``--work`` keeps the fabs and the runs.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from apart import apart
from bench_adaptation import Bench, Row, Watch, configured

from semtf.config import RunConfig, preset

CHEAP = ("none", "percentile", "moment")
SOLVED, FAILED = 0.9, 0.5
"""An adapter that closes this share of the gap does well, one below the other fails."""


class Fab(NamedTuple):
    """Which fab to measure: how many images a case, where it is kept, and whether to train."""

    work: Path
    seed: int
    cases: tuple[int, ...]
    pairs: int
    fab: int
    test: int
    cheap: bool

    @property
    def data(self) -> Path:
        return self.work / f"zoo_{self.seed}_{self.pairs}_{self.fab}_{self.test}"

    def names(self, case: int) -> Row:
        """What tells a case's row from others."""
        sizes = {"pairs": self.pairs, "fab": self.fab, "test": self.test}
        return {"seed": self.seed, "case": case, **sizes, "cheap": self.cheap}

    def make(self) -> None:
        """Make the data set where it is not there yet."""
        from semtf.simulation.world import simulate

        if not self.data.exists():
            counts = {"pairs": self.pairs, "train": self.fab, "test": self.test}
            simulate(self.data, seed=self.seed, fab="random", target_keys=True, **counts)

    def words(self) -> dict[str, str]:
        note = json.loads((self.data / "truth" / "fab.json").read_text(encoding="utf-8"))
        words: dict[str, str] = note["words"]
        return words


def measure_cheap(fab: Fab) -> list[Row]:
    """A row a case, without any training."""
    fab.make()
    rows = []
    for case in fab.cases:
        began = time.perf_counter()
        bench = Bench(fab.data, case, fab.seed)
        row = fab.names(case) | references(bench) | cheap(bench)
        rows.append(row | {"seconds": time.perf_counter() - began, "words": fab.words()})
    return rows


def measure(fab: Fab, config: RunConfig) -> list[Row]:
    """Train a run on a fab; a row a case."""
    fab.make()
    benches = {case: Bench(fab.data, case, fab.seed) for case in fab.cases}
    watches = {case: Watch(bench) for case, bench in benches.items()}
    folder, seconds = trained(fab, config, watches)
    rows = []
    for case, bench in benches.items():
        row = fab.names(case) | references(bench) | cheap(bench)
        row |= {f"best_cheap_{kind}": value for kind, value in best_cheap(bench, row).items()}
        row |= scored(folder, bench, watches[case])
        row["gap_closed"] = gap_closed(row, row["adapted"])
        row["seconds"] = seconds[case] - watches[case].seconds
        rows.append(row | {"words": fab.words()})
    return rows


def trained(fab: Fab, config: RunConfig, watches: dict[int, Watch]) -> tuple[Path, dict]:
    """The folder of a new run of all cases, and the seconds that each of them took."""
    from semtf import pipeline

    folder = fab.data.with_name(f"{fab.data.name}_run")
    shutil.rmtree(folder, ignore_errors=True)
    seconds = {}

    def watch(case: int, epoch: int, adapter: Any) -> None:
        watches[case](epoch, adapter)

    for case in fab.cases:
        began = time.perf_counter()
        given = None if folder.exists() else config
        cache = fab.data / "cache"
        pipeline.train(fab.data, case, run=folder, config=given, cache=cache, watch=watch)
        seconds[case] = time.perf_counter() - began
    return folder, seconds


def references(bench: Bench) -> Row:
    """RMSE with the simulator's own keys and with true target keys."""
    from semtf.evaluation.benchmark import own_keys

    none, (one, eight) = bench.rmse(own_keys(bench.simulator)), bench.rmse(bench.true)
    return {
        "none": none[0],
        "true": one,
        "true_softmax": eight,
        "true_default": bench.default(bench.true),
    }


def cheap(bench: Bench) -> Row:
    """RMSE with the keys of the cheap adapters, K = 1, and how much of the gap they close."""
    row: Row = {}
    for name in CHEAP[1:]:
        row[name] = bench.rmse(cheap_keys(bench, name))[0]
    return row


def cheap_keys(bench: Bench, name: str) -> np.ndarray:
    """The keys of a cheap adapter."""
    from semtf.adaptation import adapter

    given = adapter.Case(
        bench.simulator, bench.fab, preset("quick").image, configured(name), seed=bench.seed
    )
    with tempfile.TemporaryDirectory() as folder:
        return adapter.fit(given, Path(folder)).adapt(bench.simulator.mean_sem())


def best_cheap(bench: Bench, row: Row) -> Row:
    """The cheap adapter of the smallest default estimate: its name, its default, its K = 1."""
    default, name = min((bench.default(cheap_keys(bench, name)), name) for name in CHEAP)
    return {"name": name, "default": default, "one": row[name]}


def scored(folder: Path, bench: Bench, watch: Watch) -> Row:
    """What a run makes of the test images of a case, and of the choice of its epoch."""
    from semtf.adaptation.adapter import chosen_folder
    from semtf.adaptation.choice import CHOICE
    from semtf.estimation.estimator import Estimator, load_parts
    from semtf.evaluation.rmse import rmse
    from semtf.run import Run

    run = Run.open(folder)
    parts = load_parts(run, "exact")
    estimator = Estimator(parts)
    certain = np.tile(np.equal(parts.cases, bench.case), (len(bench.images), 1))
    given = estimator.predict(bench.images, certain.astype(np.float32))
    decided = estimator.predict(bench.images)
    choice = chosen_folder(run.adaptation(bench.case)) / CHOICE
    epoch = json.loads(choice.read_text(encoding="utf-8"))["epoch"] if choice.exists() else None
    adapted = bench.rmse(parts.retrievers[bench.case].storage.keys)[0]
    return {
        "adapted": adapted,
        "default": rmse(given.depth, bench.depth),
        "decided": rmse(decided.depth, bench.depth),
        "accuracy": float((decided.case == bench.case).mean()),
        "epoch": epoch,
        "epochs": watch.rmse,
        "over_best": adapted / min(watch.rmse) - 1 if watch.rmse else None,
    }


def gap_closed(row: Row, error: float) -> float:
    """Share of a row's gap that an error leaves behind."""
    return (row["none"] - error) / (row["none"] - row["true"])


def cheap_table(rows: list[Row]) -> str:
    """The gaps and what the cheap adapters close of them, and which of them fail where."""
    lines = [
        "| seed | case | none | true | true, softmax of 8 | percentile | moment "
        "| percentile closes | moment closes | structures |",
        "|" + "---|" * 10,
    ]
    for row in rows:
        shares = [f"{gap_closed(row, row[name]):.0%}" for name in CHEAP[1:]]
        lines.append(
            f"| {row['seed']} | {row['case']} | {row['none']:.2f} | {row['true']:.2f} "
            f"| {row['true_softmax']:.2f} | {row['percentile']:.2f} | {row['moment']:.2f} "
            f"| {' | '.join(shares)} | {row['words']['structures'].split(';')[0]} |"
        )
    for name in CHEAP:
        closed = np.array([gap_closed(row, row[name]) for row in rows])
        lines.append(
            f"\n`{name}` closes {np.median(closed):.0%} in the median and {closed.min():.0%} at "
            f"worst; it does well (over {SOLVED:.0%}) in {(closed > SOLVED).sum()} of {len(rows)} "
            f"and fails (below {FAILED:.0%}) in {(closed < FAILED).sum()}."
        )
    return "\n".join(lines)


class Measure(NamedTuple):
    """A column of the summary: how it is made of a row, its format, and which end is worst."""

    title: str
    column: str
    form: str
    worst: str


MEASURES = (
    Measure("gap closed, K = 1", "gap_closed", "{:.1%}", "min"),
    Measure("default estimate", "default", "{:.3f}", "max"),
    Measure("default over true keys' softmax of 8", "over_softmax", "{:+.1%}", "max"),
    Measure("default over best cheap adapter's", "over_cheap", "{:+.1%}", "max"),
    Measure("chosen epoch over best", "over_best", "{:+.1%}", "max"),
    Measure("case accuracy", "accuracy", "{:.1%}", "min"),
    Measure("seconds", "seconds", "{:.0f}", "max"),
)


def full_table(rows: list[Row]) -> str:
    """Every row, median and worst of what matters, and the worst fabs in words."""
    lines = [
        "| seed | case | none | true | adapted | gap closed | true, softmax of 8 | default "
        "| decided | best cheap | its K = 1 | its default | epoch | over best | accuracy | s |",
        "|" + "---|" * 16,
    ]
    for row in rows:
        over = "" if row["over_best"] is None else f"{row['over_best']:+.1%}"
        lines.append(
            f"| {row['seed']} | {row['case']} | {row['none']:.2f} | {row['true']:.2f} "
            f"| {row['adapted']:.2f} | {row['gap_closed']:.1%} | {row['true_softmax']:.2f} "
            f"| {row['default']:.2f} | {row['decided']:.2f} | {row['best_cheap_name']} "
            f"| {row['best_cheap_one']:.2f} | {row['best_cheap_default']:.2f} | {row['epoch']} "
            f"| {over} | {row['accuracy']:.1%} | {row['seconds']:.0f} |"
        )
    return "\n".join([*lines, "", *summary(pd.DataFrame(rows))])


def summary(table: pd.DataFrame) -> list[str]:
    """Median and worst of each measure, and the fabs of the worst in words."""
    table["over_softmax"] = table.default / table.true_softmax - 1
    table["over_cheap"] = table.default / table.best_cheap_default - 1
    lines = ["| | median | worst | seed, case |", "|---|---|---|---|"]
    worst = {}
    for title, column, form, end in MEASURES:
        values = table[column].dropna().astype(float)
        if values.empty:
            continue
        place = values.idxmin() if end == "min" else values.idxmax()
        seed, case = table.seed[place], table.case[place]
        if column != "seconds":
            worst[seed] = table.words[place]
        median, value = form.format(values.median()), form.format(values[place])
        lines.append(f"| {title} | {median} | {value} | {seed}, {case} |")
    for seed, words in worst.items():
        lines += ["", f"Fab {seed}:", *(f"- {name}: {text}" for name, text in words.items())]
    return lines


def collected(arguments: argparse.Namespace, config: RunConfig) -> list[Row]:
    """All rows asked for, those of ``--out`` and new ones."""
    out: Path | None = arguments.out
    lines = out.read_text(encoding="utf-8").splitlines() if out and out.exists() else []
    there = [json.loads(line) for line in lines]
    rows = []
    for seed in arguments.seeds:
        sizes = (arguments.pairs, arguments.fab, arguments.test)
        fab = Fab(arguments.work, seed, tuple(arguments.cases), *sizes, arguments.cheap)
        names = {case: fab.names(case) for case in fab.cases}
        found = [row for row in there if any(n.items() <= row.items() for n in names.values())]
        if len({row["case"] for row in found}) < len(names):
            found = apart(measure_cheap, fab) if fab.cheap else apart(measure, fab, config)
            note(found, out)
        rows += found
    return rows


def note(rows: list[Row], out: Path | None) -> None:
    """Print new rows, and append them to the file."""
    for row in rows:
        shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        print(json.dumps(shown, ensure_ascii=False), file=sys.stderr, flush=True)
    if out:
        with out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--cheap", action="store_true", help="train nothing; see the gaps only")
    parser.add_argument("--cases", type=int, nargs="+", help="by default 1 2, with --cheap 1")
    parser.add_argument("--pairs", type=int, default=500, help="pairs a case")
    parser.add_argument("--fab", type=int, default=400, help="fab images a case")
    parser.add_argument("--test", type=int, default=200, help="test images a case")
    parser.add_argument("--out", type=Path, help="file of JSON lines to go on from")
    parser.add_argument("--work", type=Path, help="keep fabs and runs here")
    arguments = parser.parse_args(given)
    arguments.cases = arguments.cases or ([1] if arguments.cheap else [1, 2])
    return arguments


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        arguments.work = arguments.work or Path(temporary)
        rows = collected(arguments, preset("quick"))
    print(cheap_table(rows) if arguments.cheap else full_table(rows))


if __name__ == "__main__":
    main()
