"""Adapters side by side: depth error with adapted keys, gap closed, time, memory, geometry.

    scripts/bench adaptation [--seeds 0 1 2] [--methods cyclegan percentile …] [--cases 1 2 3 4]
                             [--out rows.jsonl] [--work DIR]

Each seed is a synthetic `struct` fab of 1,000 pairs, 400 fab images and 400 test images a case.
Every method is fitted to each case in a process of its own, and its keys are used to estimate the
test images of that case: the case is given, so that only the keys differ. `none` are the
simulator's images as they are, `true` the pairs as the fab's own microscope shows them. The gap
closed is (RMSE none − RMSE)/(RMSE none − RMSE true), with K = 1. Shift is how far the mean centroid
of the holes is from that of `true`, distance the mean of it over holes, from magnified the shift
against the input's centroids, magnified as the fab does.

Rows are printed as they come and, with ``--out``, appended to a file of JSON lines; rows that are
there already are not measured again, so that a benchmark can be made in pieces. ``--work`` keeps
the fabs and the trained networks; cases 2 to 4 start from case 1's. LSGAN and CUT are trained for
the first seed only.
"""

import argparse
import dataclasses
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from isolated import run_isolated

from semtf.adapter_table import ADAPTERS
from semtf.config import AdaptationConfig, RetrievalConfig
from semtf.presets import preset

REFERENCES = ("none", "true")
STATISTICAL = [n for n, info in ADAPTERS.items() if not info.trained and n not in REFERENCES]
TRAINED = [*(n for n, info in ADAPTERS.items() if info.trained), "lsgan"]
ONCE = ("lsgan", "cut")
"""Trained for the first seed only: they take as long as the CycleGAN and are no candidates."""
METHODS = (*REFERENCES, *STATISTICAL, *TRAINED)
PAIRS, FAB, TEST = 1000, 400, 400
MAGNIFICATION = (1.04, 1.05)
Row = dict[str, Any]


def method_config(method: str) -> AdaptationConfig:
    """The ``quick`` preset's adaptation with a method's adapter and loss."""
    config = preset("quick").adaptation
    if method == "lsgan":
        return dataclasses.replace(config, adapter="cyclegan", loss="lsgan")
    return dataclasses.replace(config, adapter=method)


class Bench:
    """One case of one fab: what adapters are fitted to, and what their keys are worth."""

    def __init__(self, data: Path, case: int, seed: int) -> None:
        from semtf.benchmark.keys import TARGET_KEYS, target_keys
        from semtf.data.dataset import open_dataset
        from semtf.data.image_folder import open_images
        from semtf.evaluation.rmse import read_cases

        dataset = open_dataset(data, cases=[case], cache=data / "cache")
        self.simulator, self.fab = dataset.simulator(case), dataset.fab(case)
        self.average_depth = dataset.site_depths(case)
        self.seed, self.case = seed, case
        depth = open_images(data / "truth" / "Depth")
        mine = read_cases(data / "truth" / "cases.csv", depth.names) == case
        self.images = dataset.test().images[mine].astype(np.float32)
        self.depth = depth.images[mine]
        self.true = target_keys(
            self.simulator, data / "truth" / TARGET_KEYS / dataset.case(case).simulator
        )

    def rmse(self, keys: np.ndarray) -> tuple[float, float]:
        """RMSE over the test images with K = 1 and with the softmax of 8."""
        import tensorflow as tf

        from semtf.evaluation.rmse import rmse
        from semtf.retrieval.blending import Blending, blend
        from semtf.retrieval.retriever import Retriever
        from semtf.retrieval.storage import Storage

        simulator = self.simulator
        storage = Storage(keys, np.asarray(simulator.depth), simulator.bases, self.case)
        retriever = Retriever.build(storage, RetrievalConfig(index="exact"), seed=0)
        neighbours = retriever.search(tf.constant(self.images), 8)
        one, eight = (
            blend(retriever, self.images, neighbours, blending).depth
            for blending in (Blending(1, "nearest"), Blending(8, "softmax"))
        )
        return rmse(one, self.depth), rmse(eight, self.depth)

    def default(self, keys: np.ndarray) -> float:
        """RMSE with the weights that training chooses for these keys."""
        import tensorflow as tf

        from semtf.benchmark.keys import keys_estimators
        from semtf.estimation.uncertainty import depth_and_spread, num_to_search
        from semtf.evaluation.rmse import rmse
        from semtf.retrieval.blending import Blending

        made = keys_estimators(keys, self.simulator, self.fab, preset("quick"))
        retriever, images = made.retriever, tf.constant(self.images)
        blending = Blending.of(retriever.config)
        candidates = retriever.search(images, num_to_search(retriever, blending))
        depth, spread, _, _ = depth_and_spread(retriever, images, candidates, blending)
        if made.average is not None:
            depth = made.average.combined(images, depth, spread).depth
        return rmse(depth, self.depth)

    def geometry(self, keys: np.ndarray) -> Row:
        """Where holes are and how wide, beside those that the fab's own microscope shows, pixels.

        Its magnification moves holes, and so does its shading: a wall that is brighter than the
        other moves the apparent centroid. An adapter should move holes as both do, and no further.
        """
        from semtf.adaptation.criterion import holes

        before, after, true = (
            holes(np.asarray(images, np.float32))
            for images in (self.simulator.mean_sem(), keys, self.true)
        )
        centre = (np.array(keys.shape[1:]) - 1) / 2
        magnified = centre + (before[:, :2] - centre) * MAGNIFICATION
        off = after[:, :2] - true[:, :2]
        return {
            "shift": float(np.linalg.norm(off.mean(axis=0))),
            "distance": float(np.linalg.norm(off, axis=1).mean()),
            "magnified": float(np.linalg.norm((after[:, :2] - magnified).mean(axis=0))),
            "width": float((after[:, 2] - true[:, 2]).mean()),
        }


def measure(work: Path, seed: int, case: int, method: str) -> Row:
    """Fit one method to one case of one fab; runs in a process of its own."""
    from semtf.adaptation import adapter
    from semtf.adaptation.criterion import KEYS
    from semtf.adaptation.epoch_selection import CriterionEvaluator
    from semtf.adaptation.task import AdaptationTask
    from semtf.data.sampling import spread

    bench = Bench(data_folder(work, seed), case, seed)
    watch = epoch_errors(bench) if method in TRAINED else None
    task = AdaptationTask(
        bench.simulator,
        bench.fab,
        preset("quick").image,
        method_config(method if method != "true" else "none"),
        seed=seed + case,
        average_depth=bench.average_depth,
        callbacks=[watch] if watch else [],
    )
    folder, start = trained_folder(work, seed, method, case), None
    if case != 1 and method in TRAINED:
        start = trained_folder(work, seed, method, 1)
    began = time.perf_counter()
    fitted = adapter.fit(task, folder, start)
    seconds = time.perf_counter() - began - (watch.seconds if watch else 0.0)
    keys = bench.true if method == "true" else fitted.adapt(bench.simulator.mean_sem())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    one, eight = bench.rmse(keys)
    row = {"method": method, "case": case, "seed": seed, "rmse": one, "softmax": eight}
    row |= {"seconds": seconds, "gib": peak, "load": os.getloadavg()[0]} | bench.geometry(keys)
    evaluator = CriterionEvaluator(bench.simulator, bench.fab, bench.average_depth)
    row["criterion"] = evaluator(keys[spread(len(keys), KEYS)]).score
    if watch:
        row |= {"epochs": watch.rmse, "best": min(watch.rmse)}
    return row


def epoch_errors(bench: Bench) -> Any:
    """A callback with the RMSE of every epoch's averaged generator, and the seconds it took."""
    import keras

    from semtf.adaptation.gan import GAN
    from semtf.adaptation.mean_matching import mean_image

    class EpochErrors(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.rmse: list[float] = []
            self.seconds = 0.0
            self.sem = bench.simulator.mean_sem()
            self.mean = mean_image(bench.fab)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            if not isinstance(self.model, GAN):  # a run trains its classifier, too
                return
            began = time.perf_counter()
            with self.model.averaged():
                keys = self.model.adapted(self.sem, self.mean)
            self.rmse.append(bench.rmse(keys)[0])
            self.seconds += time.perf_counter() - began

    return EpochErrors()


def data_folder(work: Path, seed: int) -> Path:
    return work / f"fab_{seed}"


def trained_folder(work: Path, seed: int, method: str, case: int) -> Path:
    return work / f"seed_{seed}" / method / f"case_{case}"


def prepared(work: Path, seed: int) -> None:
    """Make the fab of a seed where it is not there yet."""
    from semtf.simulation.world import simulate

    if not data_folder(work, seed).exists():
        simulate(
            data_folder(work, seed), pairs=PAIRS, train=FAB, test=TEST, seed=seed, target_keys=True
        )


def needed(arguments: argparse.Namespace) -> list[tuple[int, int, str]]:
    """Seed, case and method of the rows, in an order in which warm starts are there."""
    return [
        (seed, case, method)
        for seed in arguments.seeds
        for case in arguments.cases
        for method in arguments.methods
        if method not in ONCE or seed == arguments.seeds[0]
    ]


def gap_closed(row: Row, rows: list[Row]) -> float:
    """Share of the gap, NaN where a reference of its case and seed is missing."""
    same = {r["method"]: r["rmse"] for r in rows if all(r[k] == row[k] for k in ("case", "seed"))}
    if not set(REFERENCES) <= set(same):
        return float("nan")
    return (same["none"] - row["rmse"]) / (same["none"] - same["true"])


def tables(rows: list[Row]) -> str:
    """Every row, and what must hold, as Markdown."""
    table = pd.DataFrame(rows)
    table["gap"] = [gap_closed(row, rows) for row in rows]
    table["order"] = table.method.map(METHODS.index)
    table = table.sort_values(["seed", "case", "order"])
    lines = [
        "| seed | case | method | RMSE, K = 1 | softmax of 8 | gap closed | criterion | seconds "
        "| GiB | shift (px) | distance (px) | from magnified (px) | width bias (px) "
        "| best epoch | chosen over best |",
        "|" + "---|" * 15,
    ]
    for row in table.to_dict("records"):
        trained = row["method"] in TRAINED
        best = f"{row['best']:.3f}" if trained else ""
        over = f"{row['rmse'] / row['best'] - 1:+.1%}" if trained else ""
        lines.append(
            f"| {row['seed']} | {row['case']} | {row['method']} | {row['rmse']:.3f} "
            f"| {row['softmax']:.3f} | {row['gap']:.1%} | {row['criterion']:.2f} "
            f"| {row['seconds']:.0f} | {row['gib']:.2f} | {row['shift']:.3f} "
            f"| {row['distance']:.3f} | {row['magnified']:.3f} | {row['width']:+.2f} "
            f"| {best} | {over} |"
        )
    return "\n".join([*lines, "", *summary(table)])


def summary(table: pd.DataFrame) -> list[str]:
    """A method a row: means and worst cases over cases and seeds."""
    lines = [
        "| method | RMSE, K = 1 | softmax of 8 | gap closed, mean | worst | s, case 1 "
        "| s, others | GiB | shift, worst (px) | width bias, worst (px) | chosen over best |",
        "|" + "---|" * 11,
    ]
    for order, rows in table.groupby("order"):
        name = METHODS[int(str(order))]
        over = f"{(rows.rmse / rows.best - 1).max():+.1%}" if name in TRAINED else ""
        width = rows.width.iloc[int(rows.width.abs().argmax())]
        seconds = [rows.seconds[part].max() for part in (rows.case == 1, rows.case != 1)]
        lines.append(
            f"| {name} | {rows.rmse.mean():.3f} | {rows.softmax.mean():.3f} "
            f"| {rows.gap.mean():.1%} | {rows.gap.min():.1%} | {seconds[0]:.0f} "
            f"| {seconds[1]:.0f} | {rows.gib.max():.2f} | {rows['shift'].max():.3f} "
            f"| {width:+.2f} | {over} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cases", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, help="file of JSON lines to go on from")
    parser.add_argument("--work", type=Path, help="keep fabs and networks here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        arguments.work = arguments.work or Path(temporary)
        print(tables(collected(arguments)))


def collected(arguments: argparse.Namespace) -> list[Row]:
    """All rows, those of ``--out`` and new ones."""
    out: Path | None = arguments.out
    lines = out.read_text(encoding="utf-8").splitlines() if out and out.exists() else []
    rows: list[Row] = [json.loads(line) for line in lines]
    finished = {(row["seed"], row["case"], row["method"]) for row in rows}
    for seed, case, method in needed(arguments):
        if (seed, case, method) in finished:
            continue
        prepared(arguments.work, seed)
        row = run_isolated(measure, arguments.work, seed, case, method)
        rows.append(row)
        brief = {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}
        print(json.dumps(brief), file=sys.stderr, flush=True)
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return rows


if __name__ == "__main__":
    main()
