"""Training judged on a zoo of fabs: each seed is another fab with other holes and microscopes.

    scripts/bench zoo [--seeds 0 1 2 …] [--cheap] [--cases 1 2] [--pairs 500] [--fab 1200]
                      [--test 200] [--set adaptation.decay=0.25 …] [--out rows.jsonl] [--work DIR]

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
there already, of the same settings, are not measured again. ``--work`` keeps the fabs and the runs.
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
from bench_adaptation import Bench, Row, epoch_errors, method_config
from isolated import run_isolated
from trust_rows import doubtful, judged, measures_covered
from zoo_tables import CHEAP, cheap_table, full_table, gap_closed

from semtf.config import RunConfig
from semtf.presets import preset


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
        cases = "".join(map(str, self.cases))
        return self.work / f"zoo_{self.seed}_{cases}_{self.pairs}_{self.fab}_{self.test}"

    @property
    def run(self) -> Path:
        """Where the fab's run is trained."""
        return self.data.with_name(f"{self.data.name}_run")

    def names(self, case: int) -> Row:
        """What tells a case's row from others."""
        sizes = {"pairs": self.pairs, "fab": self.fab, "test": self.test}
        return {"seed": self.seed, "case": case, **sizes, "cheap": self.cheap}

    def make(self) -> None:
        """Make the data set where it is not there yet."""
        from semtf.cases import CHALLENGE
        from semtf.simulation.world import simulate

        if not self.data.exists():
            simulate(
                self.data,
                pairs=self.pairs,
                train=self.fab,
                test=self.test,
                seed=self.seed,
                fab="random",
                target_keys=True,
                cases=tuple(case for case in CHALLENGE if case.case in self.cases),
            )

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
        row = fab.names(case) | references(bench, cheap_keys(bench))
        rows.append(row | {"seconds": time.perf_counter() - began, "words": fab.words()})
    return rows


def measure(fab: Fab, config: RunConfig) -> list[Row]:
    """Train a run on a fab; a row a case."""
    fab.make()
    benches = {case: Bench(fab.data, case, fab.seed) for case in fab.cases}
    watches = {case: epoch_errors(bench) for case, bench in benches.items()}
    seconds = trained(fab, config, watches)
    rows = []
    for case, bench in benches.items():
        keys = cheap_keys(bench)
        row = fab.names(case) | references(bench, keys)
        row |= best_cheap(bench, keys, row) | scored(fab.run, bench, watches[case])
        row["gap_closed"] = gap_closed(row, row["adapted"])
        row["seconds"] = seconds[case] - watches[case].seconds
        rows.append(row | {"words": fab.words()})
    return rows


def trained(fab: Fab, config: RunConfig, watches: dict[int, Any]) -> dict[int, float]:
    """Train a new run of all cases: the seconds that each of them took; those of the last hold the
    training of the classifier."""
    from semtf import pipeline

    shutil.rmtree(fab.run, ignore_errors=True)
    seconds = {}
    for case in fab.cases:
        began = time.perf_counter()
        pipeline.train(
            fab.data,
            case,
            run=fab.run,
            config=None if fab.run.exists() else config,
            cache=fab.data / "cache",
            callbacks=[watches[case]],
        )
        seconds[case] = time.perf_counter() - began
    return seconds


def cheap_keys(bench: Bench) -> dict[str, np.ndarray]:
    """The pairs' keys by each cheap adapter."""
    from semtf.adaptation import adapter
    from semtf.adaptation.task import AdaptationTask

    keys = {}
    for name in CHEAP:
        task = AdaptationTask(
            bench.simulator, bench.fab, preset("quick").image, method_config(name), seed=bench.seed
        )
        with tempfile.TemporaryDirectory() as folder:
            keys[name] = adapter.fit(task, Path(folder)).adapt(bench.simulator.mean_sem())
    return keys


def references(bench: Bench, keys: dict[str, np.ndarray]) -> Row:
    """RMSE with true target keys and with the keys of cheap adapters, K = 1."""
    one, eight = bench.rmse(bench.true)
    cheap = {name: bench.rmse(images)[0] for name, images in keys.items()}
    return {"true": one, "true_softmax": eight, **cheap}


def best_cheap(bench: Bench, keys: dict[str, np.ndarray], row: Row) -> Row:
    """The cheap adapter of the smallest default estimate."""
    default, name = min((bench.default(images), name) for name, images in keys.items())
    return {"best_cheap": name, "best_cheap_default": default, "best_cheap_one": row[name]}


def scored(folder: Path, bench: Bench, watch: Any) -> Row:
    """What a run makes of the test images of a case, and of the choice of its epoch."""
    from semtf.adaptation.epoch_selection import CHOICE
    from semtf.adapter_table import chosen_folder
    from semtf.estimation.estimator import Estimator
    from semtf.estimation.loading import load_models
    from semtf.estimation.preparation import read_prepared
    from semtf.evaluation.rmse import rmse
    from semtf.run import Run

    run = Run.open(folder)
    parts = load_models(run, "exact")
    estimator = Estimator(parts)
    case, truth = bench.case, bench.depth.astype(np.float32)
    given = with_case_given(estimator, bench)
    decided = estimator.predict(bench.images)
    choice = chosen_folder(run.adaptation(case)) / CHOICE
    epoch = json.loads(choice.read_text(encoding="utf-8"))["epoch"] if choice.exists() else None
    fitted = read_prepared(parts, case, run.storage(case))
    adapted = bench.rmse(fitted.retriever.storage.keys)[0]
    return {
        "adapted": adapted,
        "default": rmse(given.depth, bench.depth),
        "decided": rmse(decided.depth, bench.depth),
        "accuracy": float((decided.case == case).mean()),
        "epoch": epoch,
        "epochs": watch.rmse,
        "over_best": adapted / min(watch.rmse) - 1 if watch.rmse else None,
        "trust": judged(fitted, bench.images, truth),
        "measures": measures_covered(given, truth),
        "doubtful": doubtful(decided, truth),
    }


def with_case_given(estimator: Any, bench: Bench) -> Any:
    """The result for the test images, each with its true case."""
    certain = np.tile(np.equal(estimator.models.cases, bench.case), (len(bench.images), 1))
    return estimator.predict(bench.images, certain.astype(np.float32))


def collected(arguments: argparse.Namespace, config: RunConfig) -> list[Row]:
    """All rows asked for, those of ``--out`` and new ones."""
    out: Path | None = arguments.out
    lines = out.read_text(encoding="utf-8").splitlines() if out and out.exists() else []
    recorded = [row for row in map(json.loads, lines) if row.get("set", []) == arguments.set]
    rows = []
    for seed in arguments.seeds:
        sizes = (arguments.pairs, arguments.fab, arguments.test)
        fab = Fab(arguments.work, seed, tuple(arguments.cases), *sizes, arguments.cheap)
        names = {case: fab.names(case) for case in fab.cases}
        fab_rows = [
            row for row in recorded if any(n.items() <= row.items() for n in names.values())
        ]
        if len({row["case"] for row in fab_rows}) < len(names):
            fab_rows = (
                run_isolated(measure_cheap, fab)
                if fab.cheap
                else run_isolated(measure, fab, config)
            )
            fab_rows = [row | {"set": arguments.set} for row in fab_rows]
            record(fab_rows, out)
        rows += fab_rows
    return rows


def record(rows: list[Row], out: Path | None) -> None:
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
    parser.add_argument("--fab", type=int, default=1200, help="fab images a case")
    parser.add_argument("--test", type=int, default=200, help="test images a case")
    parser.add_argument("--set", nargs="+", default=[], help="settings, as in semtf-train --set")
    parser.add_argument("--out", type=Path, help="file of JSON lines to go on from")
    parser.add_argument("--work", type=Path, help="keep fabs and runs here")
    arguments = parser.parse_args(given)
    arguments.cases = arguments.cases or ([1] if arguments.cheap else [1, 2])
    return arguments


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        arguments.work = arguments.work or Path(temporary)
        config = preset("quick").with_settings(dict(s.split("=", 1) for s in arguments.set))
        rows = collected(arguments, config)
    print(cheap_table(rows) if arguments.cheap else full_table(rows))


if __name__ == "__main__":
    main()
