"""Choose among adapters by the label-free criterion, and say why."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

from semtf.adaptation.criterion import Criterion
from semtf.adapter_table import ADAPTERS, SELECTION
from semtf.errors import InputError
from semtf.json_fields import parse_json

TABLE = "selection.csv"
MARGIN = 0.02
"""Scores that differ by less than this share are taken for equal."""

COLUMNS = ("adapter", "seconds", *(field.name for field in dataclasses.fields(Criterion)))


@dataclasses.dataclass(frozen=True)
class AdapterTrial:
    """One adapter and what the criterion says of it.

    Attributes:
        adapter: name of the adapter.
        seconds: time of fitting and judging it.
        criterion: None where the training failed.
        failure: why the training failed; None where it did not.
    """

    adapter: str
    seconds: float
    criterion: Criterion | None
    failure: str | None = None

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "AdapterTrial":
        """Read what `save` wrote."""
        values: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        parts = values.pop("criterion")
        return cls(criterion=None if parts is None else Criterion(**parts), **values)


def choose(trials: list[AdapterTrial]) -> tuple[str, str]:
    """The name of the adapter to use, and the reason in one sentence.

    The smallest score decides; among those within `MARGIN` of it, the lowest cost.
    """
    scores = {t.adapter: t.criterion.score for t in trials if t.criterion is not None}
    if not scores:
        reasons = "; ".join(f"{trial.adapter}: {trial.failure}" for trial in trials)
        raise InputError(f"adaptation.candidates: none could be fitted ({reasons})")
    ranked = sorted(scores, key=scores.__getitem__)
    best = scores[ranked[0]]
    equal = [name for name in ranked if scores[name] <= best + MARGIN * abs(best)]
    chosen = min(equal, key=lambda name: ADAPTERS[name].cost)
    others = [name for name in ranked if name != chosen]
    if not others:
        return chosen, f"{chosen} is the only candidate."
    second = others[0]
    if scores[second] <= scores[chosen]:
        reason = (
            f"{chosen} scores {scores[chosen]:.3g}, within {MARGIN:.0%} of {second} "
            f"({scores[second]:.3g}), and is simpler."
        )
    else:
        reason = (
            f"{chosen} has the smallest score, {scores[chosen]:.3g}; "
            f"next is {second} with {scores[second]:.3g}."
        )
    return chosen, reason


def write(folder: Path, trials: list[AdapterTrial], chosen: str, reason: str) -> None:
    """Write ``selection.csv``, a row an adapter, best first, and ``selection.json``."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(trial) for trial in sorted(trials, key=_rank))
    note = {"adapter": chosen, "reason": reason}
    (folder / SELECTION).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _rank(trial: AdapterTrial) -> float:
    return float("inf") if trial.criterion is None else trial.criterion.score


def _row(trial: AdapterTrial) -> list[str]:
    values = (None,) * (len(COLUMNS) - 2)
    if trial.criterion is not None:
        values = dataclasses.astuple(trial.criterion)
    numbers = ["" if value is None else f"{value:.6g}" for value in values]
    return [trial.adapter, f"{trial.seconds:.1f}", *numbers]
