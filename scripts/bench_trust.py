"""Whether σ holds on a fab's test images, and which estimator is best there.

    scripts/bench trust [--fabs struct tonal dose random:0 …] [--cases 1 3] [--pairs 500]
                        [--train 400] [--test 200] [--out rows.jsonl] [--work DIR]

Each fab is made (`semtf simulate`) and a run is trained on it with the preset `quick`; then what a
training fits to a storage (weights, noise, regression, intervals) is fitted anew, and each case
becomes a row. Everything is measured on the fab's test images against their truth, with the case
given: RMSE of retrieval, regression and the estimate that was chosen; coverage of the 90 %
intervals by zone, with the mean half width over that of an oracle, which finds the scales on the
truth; the share of certain pixels (all neighbours agree) that are right within half a level; and
the noise that was found.

``--work`` keeps the fabs and the runs. With ``--formed`` nothing is trained: the keys are the pairs
as the fab's microscope shows them without its noise. Rows are printed as they come and, with
``--out``, appended to a file of JSON lines; rows that are there already are not measured again.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from isolated import run_isolated
from trust_rows import SHOWN, Row, judged


class World(NamedTuple):
    """A fab: its name, how many images a case, and where it is kept."""

    work: Path
    fab: str
    pairs: int
    train: int
    test: int
    formed: bool

    @property
    def data(self) -> Path:
        name = self.fab.replace(":", "_")
        return self.work / f"trust_{name}_{self.pairs}_{self.train}_{self.test}"

    def names(self, case: int) -> Row:
        """What tells a case's row from others."""
        sizes = {"pairs": self.pairs, "train": self.train, "test": self.test}
        return {"fab": self.fab, "case": case, **sizes, "formed": self.formed}

    def make(self) -> None:
        """Make the data set where it is not there yet."""
        from semtf.simulation.world import simulate

        kind, _, seed = self.fab.partition(":")
        if not self.data.exists():
            simulate(
                self.data,
                pairs=self.pairs,
                train=self.train,
                test=self.test,
                seed=int(seed or 0),
                fab=kind,
                target_keys=True,
            )


def measure(world: World, case: int) -> Row:
    """The row of a case."""
    from semtf.benchmark.keys import keys_estimators
    from semtf.data.dataset import open_dataset
    from semtf.data.image_folder import open_images
    from semtf.evaluation.rmse import read_cases
    from semtf.presets import preset

    world.make()
    dataset = open_dataset(world.data, cases=[case], cache=world.data / "cache")
    depth = open_images(world.data / "truth" / "Depth")
    mine = read_cases(world.data / "truth" / "cases.csv", depth.names) == case
    images, truth = dataset.test().images[mine], depth.images[mine].astype(np.float32)
    simulator = dataset.simulator(case)
    keys = formed_keys(world, case) if world.formed else adapted_keys(world, case)
    began = time.perf_counter()
    made = keys_estimators(keys, simulator, dataset.fab(case), preset("quick"))
    seconds = time.perf_counter() - began
    return world.names(case) | judged(made, images, truth) | {"seconds": seconds}


def adapted_keys(world: World, case: int) -> np.ndarray:
    """The keys of the fab's run, which is trained where the case is not there yet."""
    from semtf import pipeline
    from semtf.presets import preset
    from semtf.retrieval.storage import Storage
    from semtf.run import Run

    folder = world.data.with_name(f"{world.data.name}_run")
    if not folder.exists() or case not in Run.open(folder).cases:
        pipeline.train(
            world.data,
            case,
            run=folder,
            config=None if folder.exists() else preset("quick"),
            cache=world.data / "cache",
        )
    return np.asarray(Storage.open(Run.open(folder).storage(case)).keys)


def formed_keys(world: World, case: int) -> np.ndarray:
    """The pairs as the fab's microscope shows them before any noise; charging is no noise."""
    from dataclasses import replace

    from semtf.cases import CHALLENGE, find_case
    from semtf.simulation.rendering import Scene, render
    from semtf.simulation.structure_source import open_source
    from semtf.simulation.zoo import open_fab

    kind, _, seed = world.fab.partition(":")
    fab = open_fab(kind, int(seed or 0))
    quiet = replace(
        fab.microscope, dose=1e7, read_noise=0.0, correlated_noise=0.0, jitter=0.0, line_noise=0.0
    )
    source = open_source(None, world.pairs, world.train, world.test, int(seed or 0), fab.holes)
    found = find_case(CHALLENGE, case)
    keys: dict[str, np.ndarray] = {}
    for draw in source.pairs():
        scene = Scene.of(draw.structures())
        images = render(scene, found, quiet, draw.target_keys())[0]
        keys |= dict(zip(draw.names, images, strict=True))
    return np.stack([keys[name] for name in sorted(keys)])


def table(rows: list[Row]) -> str:
    """The rows as Markdown, and the median and the ends of each column over them."""
    lines = [
        "| fab | case | RMSE | retrieval | regression | share | plate | wall | floor "
        "| width over the oracle's, plate, wall, floor | certain | of these right |",
        "|" + "---|" * 12,
    ]
    for row in rows:
        zones = [f"{row['coverage'].get(zone, np.nan):.1%}" for zone in SHOWN]
        widths = ", ".join(f"{row['over_oracle'].get(zone, np.nan):.2f}" for zone in SHOWN)
        lines.append(
            f"| `{row['fab']}` | {row['case']} | {row['rmse']:.2f} | {row['retrieval']:.2f} "
            f"| {row['regression']:.2f} | {row['share']:.1f} | {' | '.join(zones)} | {widths} "
            f"| {row['pixels']['certain']:.0%}{' (σ > 0)' if row['rare'] else ''} "
            f"| {row['certain_right']:.1%} |"
        )
    lines.append("")
    for zone in SHOWN:
        shares = np.array([row["coverage"].get(zone, np.nan) for row in rows])
        lines.append(
            f"{zone}: {np.nanmedian(shares):.1%} in the median, {np.nanmin(shares):.1%} to "
            f"{np.nanmax(shares):.1%}; within 86 to 94 % in "
            f"{np.count_nonzero((shares >= 0.86) & (shares <= 0.94))} of {len(rows)}."
        )
    ratio = [row["rmse"] / min(row["retrieval"], row["regression"]) - 1 for row in rows]
    lines.append(
        f"RMSE over that of the better single estimator: {np.median(ratio):+.1%} in the median, "
        f"{np.max(ratio):+.1%} at worst."
    )
    return "\n".join(lines)


def collected(arguments: argparse.Namespace) -> list[Row]:
    """All rows asked for, those of ``--out`` and new ones."""
    out: Path | None = arguments.out
    lines = out.read_text(encoding="utf-8").splitlines() if out and out.exists() else []
    recorded = [json.loads(line) for line in lines]
    rows = []
    for fab in arguments.fabs:
        sizes = (arguments.pairs, arguments.train, arguments.test)
        world = World(arguments.work, fab, *sizes, arguments.formed)
        for case in arguments.cases:
            named = world.names(case)
            row = next((row for row in recorded if named.items() <= row.items()), None)
            if row is None:
                row = run_isolated(measure, world, case)
                print(json.dumps(row, ensure_ascii=False), file=sys.stderr, flush=True)
                if out:
                    with out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row, ensure_ascii=False) + "\n")
            rows.append(row)
    return rows


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    fabs = ["struct", "tonal", "dose", *(f"random:{seed}" for seed in range(10))]
    parser.add_argument("--fabs", nargs="+", default=fabs, help="struct, tonal, dose, random:SEED")
    parser.add_argument("--cases", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--pairs", type=int, default=500, help="pairs a case")
    parser.add_argument("--train", type=int, default=400, help="fab images a case")
    parser.add_argument("--test", type=int, default=200, help="test images a case")
    parser.add_argument("--formed", action="store_true", help="train nothing: keys without noise")
    parser.add_argument("--out", type=Path, help="file of JSON lines to go on from")
    parser.add_argument("--work", type=Path, help="keep fabs and runs here")
    return parser.parse_args(given)


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        arguments.work = arguments.work or Path(temporary)
        print(table(collected(arguments)))


if __name__ == "__main__":
    main()
